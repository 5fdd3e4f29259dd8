import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { Secret } from '../../../../src/lib/secret.ts';
import {
  isLoopback,
  parseRedisUrl,
  redisCliArguments,
  redisCliEnvironment,
} from '../../../../src/source/redis/endpoint.ts';

const parse = (url: string, files = {}) => parseRedisUrl({ url: new Secret(url), ...files });

test('URLs become places, logins and arguments of redis-cli', () => {
  const cases: readonly (readonly [string, string, readonly string[], string | undefined])[] = [
    ['redis://cache', 'cache:6379', ['-h', 'cache', '-p', '6379'], undefined],
    ['redis://:p%40ss%3A%2F@cache:7000/3', 'cache:7000', ['-h', 'cache', '-p', '7000'], 'p@ss:/'],
    ['redis://word@cache', 'cache:6379', ['-h', 'cache', '-p', '6379'], 'word'],
    ['redis://app:pw@[::1]:7000', '[::1]:7000', ['-h', '::1', '-p', '7000', '--user', 'app'], 'pw'],
    [
      'rediss://app:pw@cache.example',
      'cache.example:6379',
      ['-h', 'cache.example', '-p', '6379', '--user', 'app', '--tls', '--sni', 'cache.example'],
      'pw',
    ],
    [
      'rediss://10.0.0.1?ssl_cert_reqs=none',
      '10.0.0.1:6379',
      ['-h', '10.0.0.1', '-p', '6379', '--tls', '--insecure'],
      undefined,
    ],
    ['unix:///run/redis/redis.sock?db=2', '/run/redis/redis.sock', ['-s', '/run/redis/redis.sock'], undefined],
    ['unix://app:pw@/run/redis.sock', '/run/redis.sock', ['-s', '/run/redis.sock', '--user', 'app'], 'pw'],
  ];
  for (const [url, text, args, password] of cases) {
    const endpoint = parse(url);
    assert.deepEqual(
      [endpoint.text, redisCliArguments(endpoint), redisCliEnvironment(endpoint)['REDISCLI_AUTH']],
      [text, args, password],
      url,
    );
    if (password !== undefined) {
      assert.ok(!`${inspect(endpoint)}${JSON.stringify(endpoint)}${args.join(' ')}`.includes(`'${password}'`));
    }
  }
  assert.deepEqual(redisCliArguments(parse('rediss://h', { caFile: '/ca', certFile: '/c', keyFile: '/k' })).slice(4), [
    '--tls',
    '--sni',
    'h',
    '--cacert',
    '/ca',
    '--cert',
    '/c',
    '--key',
    '/k',
  ]);
});

test('what cannot be understood is a usage error that does not quote the password', () => {
  for (const url of [
    '',
    'cache:6379',
    'http://cache',
    'redis://a:SECRET@cache:port',
    'redis://a:SECRET@cache/db',
    'unix://a:SECRET@relative',
    'redis://a:%zz@cache',
  ]) {
    assert.throws(
      () => parse(url),
      (error: Error & { code: string }) => error.code === 'usage' && !error.message.includes('SECRET'),
      url,
    );
  }
});

test('loopback is told from other hosts', () => {
  for (const url of ['redis://localhost', 'redis://127.0.0.1', 'redis://[::1]', 'unix:///x', 'redis://']) {
    assert.ok(isLoopback(parse(url)), url);
  }
  for (const url of ['redis://cache', 'redis://10.0.0.1']) assert.ok(!isLoopback(parse(url)), url);
});
