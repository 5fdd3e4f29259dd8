/** Notifications as they are configured: what is wrong is told by its place, and no secret is shown. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import type { Channel } from '../../../src/config/config.ts';
import { describeConfig } from '../../../src/config/describe.ts';
import { loadConfig, type LoadedConfig } from '../../../src/config/load.ts';

const load = async (notifications: object, env: Record<string, string> = {}): Promise<LoadedConfig> =>
  loadConfig({ cwd: '/', env, document: { notifications } });
const channelsOf = async (notifications: object, env = {}): Promise<Channel[]> => [
  ...(await load(notifications, env)).config.notifications.channels.values(),
];

const hook = { type: 'webhook', url: 'https://h/hush', token: 'hush', secret: 'whsec_hush' };

describe('channels', () => {
  test('have the keys of their type, and routes name those that are there', async () => {
    const wrong = load({
      channels: {
        mail: { type: 'email', url: 'smtp://h', chat: '1' },
        bot: { type: 'telegram', token: 't', chat: 'me', nme: 1 },
        other: { type: 'slak', url: 'https://hush' },
      },
      routes: [{ channels: ['mail'], severities: ['loud'] }],
    });
    await assert.rejects(wrong, ({ message }: Error) => {
      for (const wanted of [
        /channels\.bot\.chat: must be the number of a chat/,
        /channels\.bot\.nme: is not a known key/,
        /channels\.other\.type: must be one of .*slack.* \(did you mean "slack"\?\)/,
        /routes\.0\.severities\.0: must be one of info, warning, critical/,
      ]) {
        assert.match(message, wanted);
      }
      return !/hush/.test(message);
    });
    await assert.rejects(
      load({ channels: { mail: { type: 'email', url: 'smtp://h', chat: '1' } } }),
      /channels\.mail\.to: is missing; email needs it[^]*channels\.mail\.chat: means nothing for email/,
    );
    await assert.rejects(
      load({ channels: { hook }, routes: [{ channels: ['hok'] }], escalation: { afterMinutes: 1, channels: ['x'] } }),
      /routes\.0\.channels: there is no channel "hok"[^]*escalation\.channels: there is no channel "x"/,
    );
  });

  test('those of earlier configurations, and of the environment, are there under their type', async () => {
    const env = {
      SLACK_WEBHOOK_URL: 'https://slack',
      BACKUP_PING_URL: 'https://ping',
      SMTP_URL: 'smtps://h',
      BACKUP_ALERT_EMAIL_RECIPIENTS: 'a@b.c,d@e.f',
    };
    const found = await channelsOf({ webhook: 'https://w' }, env);
    assert.deepEqual(
      found.map(({ name, type }) => [name, type]),
      ['webhook', 'slack', 'email', 'ping'].map((each) => [each, each]),
    );
    const ping = found.find((each) => each.type === 'ping');
    assert.deepEqual([ping?.signals, ping?.commands], [['success'], ['backup']]);
    await assert.rejects(load({ channels: { webhook: hook }, webhook: 'https://w' }), /stands beside a channel/);
    const { warnings } = await load({ emailRecipients: ['a@b.c'] });
    assert.match(warnings.join(), /nobody gets mail/);
  });

  test('without a route all hear what is wrong; a secret that cannot be had keeps nothing from running', async () => {
    const { config } = await load({ channels: { hook: { type: 'slack', url: { env: 'NOT_SET' } } } });
    const [route] = config.notifications.routes;
    assert.deepEqual([route?.channels, route?.severities], [['hook'], ['warning', 'critical']]);
    const channel = config.notifications.channels.get('hook');
    assert.ok(channel?.type === 'slack');
    await assert.rejects(channel.url.fetch(AbortSignal.timeout(1000)), /NOT_SET is not set/);
  });
});

test('no secret of a channel is shown', async () => {
  const loaded = await load({ channels: { hook, s: { type: 'slack', url: 'https://hush' } } });
  const shown = JSON.stringify(describeConfig(loaded)) + inspect(loaded.config, { depth: 20 });
  assert.doesNotMatch(shown + JSON.stringify([...loaded.config.notifications.channels]), /hush/);
  const rows = describeConfig(loaded).filter(({ path }) => path.startsWith('notifications.channels.hook.'));
  assert.deepEqual(
    rows.filter(({ secret }) => secret === true).map(({ path }) => path.split('.').at(-1)),
    ['url', 'token', 'secret'],
  );
});
