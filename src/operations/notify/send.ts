/** One message by one channel; the module of its type is loaded when it is used first. */
import type { Channel } from '../../config/config.ts';
import type { Notice } from './notice.ts';

/** Rejects unless the other side has taken it; the message of the error holds no secret. */
export async function send(channel: Channel, notice: Notice, signal: AbortSignal): Promise<void> {
  switch (channel.type) {
    case 'webhook':
      return (await import('./channels/webhook.ts')).sendWebhook(channel, notice, signal);
    case 'slack':
      return (await import('./channels/slack.ts')).sendSlack(channel, notice, signal);
    case 'discord':
      return (await import('./channels/discord.ts')).sendDiscord(channel, notice, signal);
    case 'teams':
      return (await import('./channels/teams.ts')).sendTeams(channel, notice, signal);
    case 'telegram':
      return (await import('./channels/telegram.ts')).sendTelegram(channel, notice, signal);
    case 'ntfy':
      return (await import('./channels/ntfy.ts')).sendNtfy(channel, notice, signal);
    case 'pagerduty':
      return (await import('./channels/pagerduty.ts')).sendPagerduty(channel, notice, signal);
    case 'email':
      return (await import('./channels/email.ts')).sendEmail(channel, notice, signal);
    case 'ping':
      return (await import('./channels/ping.ts')).sendPing(channel, notice, signal);
    case 'command':
      return (await import('./channels/command.ts')).sendToCommand(channel, notice, signal);
  }
}
