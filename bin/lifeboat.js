#!/bin/sh
':' /*
# Shell first, JavaScript after it: the shell finds a Node and becomes it. A Node that starts another one
# would stay between, and whoever stops it with SIGTERM would leave the real process running.
# (The line above opens a comment for JavaScript, and is a command that does nothing for the shell.)

self=$0
while [ -L "$self" ]; do # npm installs a link to this file
  link=$(readlink "$self")
  case $link in
    [/]*) self=$link ;;
    *) self=${self%[/]*}/$link ;;
  esac
done
case $self in
  *[/]*) root=${self%[/]*}/.. ;;
  *) root=.. ;;
esac

# A Node that npm installed, in a checkout or in the project that uses this package, if it is a new one.
node=
for package in "$root/node_modules/node" "$root/../node"; do
  [ -x "$package/bin/node" ] && [ -r "$package/package.json" ] || continue
  major=
  while read -r key value; do
    [ "$key" = '"version":' ] || continue
    value=${value#\"}
    major=${value%%.*}
    break
  done <"$package/package.json"
  case $major in
    '' | *[!0-9]*) continue ;;
  esac
  [ "$major" -ge 24 ] || continue
  node=$package/bin/node
  break
done

# Else the one of this machine. Cron's PATH is short, and may be missing altogether.
[ -n "$node" ] || node=$(command -v node)
for prefix in /usr/local /usr /opt/homebrew /snap /opt/node "$HOME"/.nvm/versions/node/v2[2-9].[0-9]*; do
  [ -z "$node" ] || break
  [ ! -x "$prefix/bin/node" ] || node=$prefix/bin/node
done
# Memory stays bounded because dead buffers are collected often and by a small heap; the flags say so to V8
# and malloc (each thread would else keep an arena of its own, and large buffers stay with them). They are
# options of Node's start only.
# With 32 MB instead of 64, marking the same 16 MB over and over takes a second a GB of backup. Buffers of sealed
# and compressed chunks (some 200 KB) come from a heap that may keep 32 MiB: mapped anew each, the kernel's clearing
# of their pages takes 2 % of a backup and 5 % of a restore.
if [ -n "$node" ]; then
  MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-2}
  MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-1048576}
  MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-33554432}
  export MALLOC_ARENA_MAX MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_
  # Secrets in the environment would stay readable in /proc/<pid>/environ as long as this runs, and in a core file. So
  # they go over a pipe, a NAME=value in a line each; those of several lines stay where they are.
  ulimit -c 0 2>/dev/null
  # A configuration may name any variable ({"env": NAME}), so it is told by its name what is one.
  unset secrets value line names name
  secrets=
  line_end='
'
  names=$(export -p)
  IFS=$line_end
  set -f
  for line in $names; do
    name=${line#export }
    name=${name%%=*}
    case $name in
      '' | [0-9]* | *[!A-Za-z0-9_]* | NODE_* | LD_*) continue ;;
      BACKUP_REPOSITORY | *KEY* | *PASS* | *SECRET* | *TOKEN* | *IDENTITY* | *CRED* | *URL* | *URI* | *DSN* | *HOOK*) ;;
      *) continue ;;
    esac
    eval "value=\${$name-}"
    case $value in
      '' | *"$line_end"*) continue ;;
    esac
    secrets=$secrets$name=$value$line_end
    unset "$name"
  done
  set +f
  unset IFS
  if [ -n "$secrets" ]; then
    LIFEBOAT_SECRETS_FD=9
    export LIFEBOAT_SECRETS_FD
    exec "$node" --expose-gc --max-semi-space-size=8 --initial-old-space-size=64 -- "$self" "$@" 9<<END_OF_SECRETS
$secrets
END_OF_SECRETS
  fi
  # After -- Node looks for no options of its own: it would take our --env-file for one.
  exec "$node" --expose-gc --max-semi-space-size=8 --initial-old-space-size=64 -- "$self" "$@"
fi

message='cannot start lifeboat: Node.js is not installed or not in PATH'
hint='install Node.js 22.15 or newer'
# For PostgreSQL's restore_command a code below 126 would say that the log ends here.
code=16
case " $* " in
  *' wal '*'fetch '*) code=200 ;;
esac
for argument in "$@"; do
  [ "$argument" != --json ] || printf \
    '{"schema":"lifeboat.error\/v1","code":"tool","exitCode":%s,"message":"%s","hint":"%s","retryable":false}\n' \
    "$code" "$message" "$hint"
done
printf 'lifeboat: %s\n%s\n' "$message" "$hint" >&2
exit "$code"
*/

/**
 * The program's entry. What must come before any other code is here: a listener for SIGUSR1 (without one
 * Node opens its inspector to whoever sends it), the size of libuv's thread pool (read once, when the pool
 * starts), and the compile cache. Only standard-library modules are loaded before, and nothing is here that a too old
 * Node could not parse.
 */
process.on('SIGUSR1', () => {});
const { closeSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } = await builtin('node:fs');
takeSecrets();
const module = await builtin('node:module');
const { availableParallelism, tmpdir } = await builtin('node:os');
const { join } = await builtin('node:path');
const { fileURLToPath } = await builtin('node:url');

/** What run() resolved to; undefined until then. */
let outcome;
guardRestoreCommand();

const root = fileURLToPath(new URL('..', import.meta.url));

if (isNodeTooOld()) {
  refuse('tool', 16, `cannot start lifeboat: this is Node.js ${process.versions.node}`, hintForOldNode());
} else if (!isFolderThere()) {
  refuse('usage', 2, 'cannot start lifeboat: the working directory does not exist any more', 'change to one that does');
} else {
  process.env['UV_THREADPOOL_SIZE'] ??= String(Math.max(4, availableParallelism()));
  enableCompileCache();
  try {
    const { run } = await import(isBuildCurrent() ? '../dist/cli.js' : '../src/cli.ts');
    outcome = await run(process.argv.slice(2));
    process.exitCode = outcome;
  } catch (error) {
    // Either the installation is damaged or this is a bug: run() itself never rejects.
    console.error(`lifeboat: cannot start: ${error instanceof Error ? error.stack : String(error)}`);
    process.exitCode = 1;
  }
}

/**
 * One of Node's own modules. An import looks at each of its members, and some of them load a dozen modules each, which
 * takes as long as all else that is done here; older Nodes have nothing else.
 */
async function builtin(name) {
  return process.getBuiltinModule?.(name) ?? import(name);
}

/** What the shell above has taken out of the environment. Here it is seen by this process only. */
function takeSecrets() {
  const fd = process.env['LIFEBOAT_SECRETS_FD'];
  if (fd !== '9') return;
  delete process.env['LIFEBOAT_SECRETS_FD'];
  for (const line of readFileSync(9, 'utf8').split('\n')) {
    const end = line.indexOf('=');
    if (end > 0) process.env[line.slice(0, end)] = line.slice(end + 1);
  }
  // Before any other program is started, which would have it too.
  closeSync(9);
}

/**
 * PostgreSQL takes 1 to 125 from its restore_command for the end of the log, and 0 for a file that is there. Neither
 * may come of a start that failed, a bug, or an end that nobody meant: only of what run() resolved to.
 */
function guardRestoreCommand() {
  const at = process.argv.indexOf('wal');
  if (at < 0 || !process.argv.includes('fetch', at)) return;
  process.on('exit', (code) => {
    if (code !== outcome && code < 126) process.exitCode = 200;
  });
}

function isNodeTooOld() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major < 22 || (major === 22 && minor < 15);
}

function isFolderThere() {
  try {
    return process.cwd() !== '';
  } catch {
    return false;
  }
}

/** We run on the old Node already, so it was named on the command line, or there is no other. */
function hintForOldNode() {
  const own = join(root, 'node_modules/node/bin/node');
  if (statSync(own, { throwIfNoEntry: false }) !== undefined) {
    return `run ${fileURLToPath(import.meta.url)} itself, without "node" before it`;
  }
  const remedy = 'install it, or run npm install node@24 in the project that uses lifeboat';
  return `lifeboat needs Node.js 22.15 or newer: ${remedy}`;
}

function refuse(code, exitCode, message, hint) {
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify({ schema: 'lifeboat.error/v1', code, exitCode, message, hint, retryable: false }));
  }
  console.error(`lifeboat: ${message}\n${hint}`);
  process.exitCode = exitCode;
}

/**
 * The package brings dist/ only. In a checkout dist/ counts if it was built completely after the last
 * change to src/: nobody shall wonder why a change has no effect.
 */
function isBuildCurrent() {
  const built = statSync(join(root, 'dist/.complete'), { throwIfNoEntry: false });
  const source = join(root, 'src');
  if (statSync(source, { throwIfNoEntry: false }) === undefined) return true;
  return built !== undefined && isUnchanged(source, built.mtimeMs);
}

/**
 * Folders count too: a deleted file changes nothing but its folder. Walked by hand, which takes a third of the time
 * of readdir's `recursive`.
 */
function isUnchanged(folder, sinceMs) {
  if (changedMs(folder) > sinceMs) return false;
  return readdirSync(folder, { withFileTypes: true }).every((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? isUnchanged(path, sinceMs) : changedMs(path) <= sinceMs;
  });
}

/** What is copied or unpacked may bring an older time of its content along. */
function changedMs(path) {
  const { mtimeMs, ctimeMs } = statSync(path);
  return Math.max(mtimeMs, ctimeMs);
}

/** Halves the start-up time. The cache holds code that we execute, so nobody else may write to it. */
function enableCompileCache() {
  for (const folder of cacheFolders()) {
    if (!makePrivate(folder)) continue;
    module.enableCompileCache(folder);
    return;
  }
}

function cacheFolders() {
  const uid = process.getuid?.() ?? 0;
  const folders = [join(tmpdir(), `lifeboat-${uid}`)];
  const home = process.env['HOME'];
  // Not in another user's home, where sudo may leave us: it would be root's folder there for ever.
  if (home?.startsWith('/') && ownerOf(home) === uid) folders.unshift(join(home, '.cache/lifeboat'));
  const cache = process.env['XDG_CACHE_HOME'];
  if (cache?.startsWith('/') && ownerOf(cache) === uid) folders.unshift(join(cache, 'lifeboat'));
  return folders;
}

function makePrivate(folder) {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const found = lstatSync(folder);
    return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0;
  } catch {
    return false;
  }
}

function ownerOf(folder) {
  try {
    return statSync(folder).uid;
  } catch {
    return undefined;
  }
}
