/** A service and a timer for each schedule; see systemd.service(5), systemd.timer(5) and systemd.exec(5). */
import { printable } from '../../lib/printable.ts';
import type { PrintedFile } from './request.ts';
import { quarterMinutes, type Unit, type UnitScope } from './unit.ts';

export function systemdFiles(units: readonly Unit[], scope: UnitScope = 'system'): PrintedFile[] {
  return units.flatMap((unit) => [
    { name: `lifeboat-${unit.schedule.id}.service`, text: service(unit, scope) },
    { name: `lifeboat-${unit.schedule.id}.timer`, text: timer(unit) },
  ]);
}

/**
 * What a backup as root may need stays: reading all files, chown to the owners of a repository, namespaces for drills
 * (which ProtectKernelTunables would keep from a /proc of their own), ports. Where less is done, more can be taken away
 * (systemctl edit).
 */
const ofSystem = [
  'ProtectClock=yes',
  'ProtectHostname=yes',
  'ProtectKernelLogs=yes',
  'ProtectKernelModules=yes',
  'ProtectControlGroups=yes',
  'PrivateTmp=yes',
  'CapabilityBoundingSet=~CAP_SYS_BOOT CAP_SYS_PACCT CAP_SYS_RAWIO CAP_SYS_TTY_CONFIG CAP_BPF CAP_PERFMON',
  'CapabilityBoundingSet=~CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE',
  'CapabilityBoundingSet=~CAP_BLOCK_SUSPEND CAP_WAKE_ALARM',
];

/** What a service manager of a user may do, too: the others would keep it from starting the service. */
const hardened = [
  'NoNewPrivileges=yes',
  'LockPersonality=yes',
  'RestrictRealtime=yes',
  'RestrictSUIDSGID=yes',
  'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK',
  'SystemCallArchitectures=native',
  'SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap',
  'SystemCallErrorNumber=EPERM',
  'UMask=0077',
];

function service({ schedule, argv }: Unit, scope: UnitScope): string {
  const isSystem = scope === 'system';
  return lines([
    '[Unit]',
    `Description=Lifeboat: ${escaped(printable(schedule.name))}`,
    'Documentation=man:lifeboat-schedule(1)',
    ...(isSystem ? ['Wants=network-online.target', 'After=network-online.target'] : []),
    '',
    '[Service]',
    'Type=oneshot',
    `ExecStart=${argv.map(execWord).join(' ')}`,
    '# Done, with something to know: the journal has it.',
    'SuccessExitStatus=3',
    '# A backup may take a night; timeoutSeconds of the schedule limits it.',
    'TimeoutStartSec=infinity',
    '# Children are ended by the program, in order; what is left after that by systemd.',
    'KillMode=mixed',
    'TimeoutStopSec=2min',
    'Nice=10',
    'IOSchedulingClass=idle',
    ...(isSystem ? ofSystem : []),
    ...hardened,
  ]);
}

function timer({ schedule: { id, name, cronExpression, timezone }, cron }: Unit): string {
  const minutes = quarterMinutes(cron).map((minute) => String(minute).padStart(2, '0'));
  return lines([
    '[Unit]',
    `Description=Lifeboat: ${escaped(printable(name))}`,
    '',
    '[Timer]',
    `# ${cronExpression} in ${timezone ?? 'the time zone of the host'}: the service runs only what is due.`,
    `OnCalendar=*:${minutes.join(',')}`,
    'AccuracySec=10s',
    `Unit=lifeboat-${id}.service`,
    '',
    '[Install]',
    'WantedBy=timers.target',
  ]);
}

function lines(texts: readonly string[]): string {
  return `${texts.join('\n')}\n`;
}

/** Specifiers begin with a percent sign. */
function escaped(text: string): string {
  return text.replaceAll('%', '%%');
}

/** A word of ExecStart: in double quotes, with C escapes; `$` and `%` twice stand for themselves. */
function execWord(word: string): string {
  const literal = escaped(word).replaceAll('$', '$$$$');
  if (/^[\w@+=:,./%$-]+$/.test(literal)) return literal;
  const inside = literal.replaceAll(/[\\"]/g, String.raw`\$&`);
  const code = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `"${inside.replaceAll(/\p{Cc}/gu, code)}"`;
}
