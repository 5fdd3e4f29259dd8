/**
 * The project's own lint rules: what may import what, and what files are called. They look at every way to
 * import (static, type only, re-export, `import()`, `import('…')` in a type), because heavy modules are loaded
 * late here, and the stock rules for imports and circles see static ones only.
 *
 * Floors and rooms are those of ARCHITECTURE.md. test/unit/lint.test.ts plants a violation of each rule.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const sourceRoot = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', 'src');

/** Height of each folder of src/; imports go to the same folder or to a lower floor. */
const floors = new Map(
  Object.entries({
    lib: 0,
    config: 1,
    storage: 2,
    source: 2,
    repository: 3,
    operations: 4,
    ui: 5,
    report: 5,
    commands: 6,
  }),
);

/**
 * The order of what lies in a folder, from low to high; imports go to the same room or to a lower one. '.' stands for
 * the files beside the rooms; a file that cannot stand with them has a place of its own. Rooms in a list of their own
 * stand side by side: none imports another. A folder without an entry has no rooms.
 */
const rooms = new Map(
  Object.entries({
    storage: ['.', ['local', 's3', 'sftp'], 'open.ts'],
    source: ['.', ['files', 'postgres', 'redis']],
    'source/postgres': ['wal', 'archive', 'server', 'facts', 'dump', 'base', 'cluster', 'restore'],
    'source/redis': ['rdb', '.'],
    repository: [
      '.',
      'box',
      'host-state.ts',
      'keys',
      'chunks',
      'retention',
      'manifests',
      'packs',
      'wal',
      'leases',
      'rescue',
      'repository.ts',
      'audit.ts',
      'create.ts',
      'rekey.ts',
      'backups',
      'slots',
      'deletion',
    ],
    operations: [
      '.',
      'audit',
      'notify',
      'hooks',
      'perform.ts',
      'proof',
      'choose-backup.ts',
      'list',
      'wal',
      'backup',
      'restore',
      'pre-deploy',
      'pitr',
      'validate',
      'drill',
      'integrity',
      'cleanup',
      'setup',
      'doctor',
      'emergency',
      'status',
      'metrics',
      'report',
      'schedule',
      'daemon',
    ],
    'operations/notify': ['words.ts', 'notice.ts', 'channels', '.'],
    'operations/wal': ['.', 'check', 'stream'],
    ui: ['json', '.', 'facts', 'show-view.ts'],
    commands: ['shared', 'manual', '.'],
  }),
);

/** Files in src/ itself stand above all floors; the folder `shared` holds what commands have in common. */
const roof = 7;

/** Packages and built-in modules that only some files of src/ may touch. */
const places = [
  { what: /^(chalk|ora|cli-table3)$/, where: /^ui\//, why: 'only ui/ draws on the terminal' },
  {
    what: /^(commander)$/,
    where: /^(commands\/|ui\/|(?:program|command-list)\.ts$)/,
    why: 'only commands know of flags',
  },
  {
    what: /^(execa|(node:)?child_process|(node:)?cluster)$/,
    where: /^lib\/exec\.ts$/,
    why: 'only lib/exec.ts starts programs',
  },
  { what: /^@aws-sdk\//, where: /^storage\//, why: 'only storage/ knows of S3' },
  { what: /^nodemailer$/, where: /^operations\/notify\//, why: 'only operations/notify/ sends mail' },
  { what: /^pg$/, where: /^source\/postgres\//, why: 'only source/postgres/ speaks to PostgreSQL' },
  { what: /^ioredis$/, where: /^source\/redis\//, why: 'only source/redis/ speaks to Redis' },
  {
    what: /^zod$/,
    where: /^((config|storage|source|repository|operations)\/|ui\/json\/)/,
    why: 'foreign data is parsed below the commands; ui/json/ describes our own',
  },
];

const floorsRule = importRule((imported, file) => {
  const target = targetOf(imported, file);
  if (target === undefined) return undefined;
  if (target.startsWith('../')) return `src/ must not import ${imported}: it is outside of src/`;
  const from = placeOf(file.path);
  const to = placeOf(target);
  if (from.floor === undefined) {
    return `the folder ${from.folder}/ has no floor: name it in .ci/lint/lifeboat.js and ARCHITECTURE.md`;
  }
  if (to.floor === undefined) return `the folder ${to.folder}/ has no floor`;
  if (from.folder === 'commands' && to.folder === 'commands') return sideways(target);
  if (from.folder === to.folder && from.floor !== roof) return undefined;
  if (from.floor === roof && to.floor === roof) return undefined;
  if (to.floor < from.floor) return undefined;
  return (
    `${from.folder}/ (floor ${from.floor}) must not import ` +
    `${to.folder}/ (floor ${to.floor}): imports go downward only`
  );
});

/** Where something is said of a file as a whole. */
const fileStart = { start: { line: 1, column: 0 }, end: { line: 1, column: 0 } };

const roomsRule = {
  create(context) {
    const file = fileOf(context);
    if (file === undefined) return {};
    return {
      Program() {
        const stray = stepsOf(file.path).find(({ folder, name }) => heightOf(folder, name) === undefined);
        if (stray === undefined) return;
        const { folder, name } = stray;
        const what = name.endsWith('.ts') ? `the file ${folder}/${name}` : `the folder ${folder}/${name}/`;
        const message =
          `${what} has no place in the order of ${folder}/: add it to "rooms" in .ci/lint/lifeboat.js, and say in ` +
          'ARCHITECTURE.md what is there';
        context.report({ loc: fileStart, message });
      },
      ...importRule(judgeRooms).create(context),
    };
  },
};

function judgeRooms(imported, file) {
  const target = targetOf(imported, file);
  if (target === undefined) return undefined;
  const there = stepsOf(target);
  const fork = stepsOf(file.path).findIndex(({ name }, n) => name !== there[n]?.name);
  const from = stepsOf(file.path)[fork];
  const to = there[fork];
  if (from === undefined || to === undefined || from.folder !== to.folder) return undefined;
  const { folder } = from;
  const ownHeight = heightOf(folder, from.name);
  const height = heightOf(folder, to.name);
  if (ownHeight === undefined || height === undefined || height < ownHeight) return undefined;
  const where = `${folder}/${from.name} must not import ${folder}/${to.name}`;
  if (height > ownHeight) return `${where}, which stands above it: "rooms" in .ci/lint/lifeboat.js has the order`;
  return Array.isArray(rooms.get(folder)?.[height]) ? `${where}: they stand side by side` : undefined;
}

/** Types count too: two files that know of each other are one file. */
const circlesRule = importRule((imported, file) => {
  const target = targetOf(imported, file);
  const way = target === undefined ? undefined : wayBetween(target, file.path);
  if (way === undefined) return undefined;
  return `imports go in a circle: ${[file.path, ...way].join(' → ')}; what both need belongs into a third file`;
});

const packagesRule = importRule((imported, file) => {
  const broken = places.find(({ what, where }) => what.test(imported) && !where.test(file.path));
  return broken === undefined ? undefined : `${imported} must not be imported here: ${broken.why}`;
});

/** process.env is read where configuration is made, and where the environment of children is. */
const environmentRule = {
  create(context) {
    const file = fileOf(context);
    if (file === undefined || /^(config\/|lib\/exec\.ts$)/.test(file.path)) return {};
    const complain = (node) =>
      context.report({ node, message: 'only config/ reads the environment; pass the value in' });
    return {
      MemberExpression(node) {
        if (node.object.type === 'Identifier' && node.object.name === 'process' && nameOf(node) === 'env') {
          complain(node);
        }
      },
      VariableDeclarator(node) {
        if (node.init?.type !== 'Identifier' || node.init.name !== 'process' || node.id.type !== 'ObjectPattern') {
          return;
        }
        if (node.id.properties.some((each) => each.key?.name === 'env')) complain(node);
      },
      ImportDeclaration(node) {
        if (!/^(node:)?process$/.test(node.source.value)) return;
        if (node.specifiers.some((each) => each.imported?.name === 'env')) complain(node);
      },
    };
  },
};

/**
 * What changes files by path follows links and whatever was put there meanwhile, and root does it in folders of others:
 * it goes by lib/held-folder.ts and what stands on it. The exceptions work by descriptors themselves, in folders that
 * nobody else can enter, or (throwaway servers) before a folder is given away.
 */
const changing = /^(l?ch(own|mod)|rm|rmdir|unlink|writeFile|appendFile|createWriteStream|copyFile|cp|truncate)(Sync)?$/;
const opening = /^open(Sync)?$/;
const changesByDescriptor = [
  /^lib\/(held-folder|held-files|remove-tree|leftovers|leftover-journal|fs|fifo|isolation|owned-files)\.ts$/,
  /^storage\/local\//,
  /^source\/files\/(system-calls|merge|tree-writer)\.ts$/,
  /^source\/postgres\/base\/placer\.ts$/,
  /^source\/postgres\/cluster\/(quarters|recovery-process|scratch-cluster)\.ts$/,
  /^source\/redis\/scratch-rooms\.ts$/,
  /^operations\/pitr\/wal-requests\.ts$/,
];

const filesRule = {
  create(context) {
    const file = fileOf(context);
    if (file === undefined || changesByDescriptor.some((each) => each.test(file.path))) return {};
    /** Local names of node:fs, and of its open. */
    const modules = new Set();
    const opens = new Set();
    const complain = (node, name) => {
      const message = `${name} by path: lib/held-files.ts and lib/fs.ts do it safely in folders of others`;
      context.report({ node, message });
    };
    const isModule = (node) =>
      (node.type === 'Identifier' && modules.has(node.name)) ||
      (node.type === 'MemberExpression' && nameOf(node) === 'promises' && isModule(node.object));
    return {
      ImportDeclaration(node) {
        if (!/^(node:)?fs(\/promises)?$/.test(node.source.value)) return;
        for (const each of node.specifiers) {
          const name = each.imported?.name;
          if (name === undefined || name === 'promises') modules.add(each.local.name);
          else if (opening.test(name)) opens.add(each.local.name);
          else if (changing.test(name)) complain(each, name);
        }
      },
      MemberExpression(node) {
        if (isModule(node.object) && changing.test(nameOf(node))) complain(node, nameOf(node));
      },
      CallExpression({ callee, arguments: given }) {
        const isOpen =
          callee.type === 'Identifier'
            ? opens.has(callee.name)
            : callee.type === 'MemberExpression' && isModule(callee.object) && opening.test(nameOf(callee));
        const flags = given[1];
        const isReading = flags === undefined || flags.value === 'r' || /O_RDONLY/.test(textOf(context, flags));
        if (isOpen && !isReading) complain(callee, 'open for writing');
      },
    };
  },
};

function textOf(context, node) {
  return context.sourceCode.text.slice(node.range[0], node.range[1]);
}

/** A file that only hands on what others export hides where things are; the library's front door is one on purpose. */
const barrelRule = {
  create(context) {
    const file = fileOf(context);
    if (file === undefined || file.path === 'index.ts') return {};
    return {
      ExportAllDeclaration(node) {
        context.report({ node, message: 'no barrel files: import from where it is' });
      },
      ExportNamedDeclaration(node) {
        if (node.source) context.report({ node, message: 'no re-exports: import from where it is' });
      },
    };
  },
};

const fileNameRule = {
  create(context) {
    return {
      Program(node) {
        const name = context.filename.split(sep).at(-1) ?? '';
        if (/^(utils?|helpers?|misc|common)\.[cm]?[jt]s$/.test(name)) {
          context.report({ node, message: `${name} says nothing: name the file after what is in it` });
        }
        if (!/^\.?[a-z0-9]+([.-][a-z0-9]+)*$/.test(name)) {
          context.report({ node, message: `${name}: file names are lower case, words joined by "-"` });
        }
        const folder = context.filename.split(sep).at(-2) ?? '';
        if (name.startsWith(`${folder}-`) || name.startsWith(`${folder.replace(/s$/, '')}-`)) {
          context.report({ node, message: `${name}: its folder, ${folder}/, says the first word already` });
        }
      },
    };
  },
};

/** The formatter keeps code within them, but neither comments nor strings. */
const maxColumns = 120;
const lineLengthRule = {
  create(context) {
    return {
      Program() {
        for (const [n, line] of context.sourceCode.text.split('\n').entries()) {
          if (line.length <= maxColumns) continue;
          const loc = { start: { line: n + 1, column: maxColumns }, end: { line: n + 1, column: line.length } };
          context.report({ loc, message: `${line.length} columns, ${maxColumns} at most` });
        }
      },
    };
  },
};

/** Calls `judge(imported, file)` for each import of a file in src/, and reports the message it returns. */
function importRule(judge) {
  return {
    create(context) {
      const file = fileOf(context);
      if (file === undefined) return {};
      const look = (node, source) => {
        if (typeof source?.value !== 'string') return;
        const message = judge(source.value, file);
        if (message !== undefined) context.report({ node, message });
      };
      return {
        ImportDeclaration: (node) => look(node, node.source),
        ImportExpression: (node) => look(node, node.source),
        ExportAllDeclaration: (node) => look(node, node.source),
        ExportNamedDeclaration: (node) => look(node, node.source),
        TSImportType: (node) => look(node, node.source ?? node.argument?.literal ?? node.argument),
      };
    },
  };
}

/**
 * `path` is relative to src/, with slashes; undefined for files elsewhere, and for the rescue script, which stands
 * alone.
 */
function fileOf(context) {
  const path = relative(sourceRoot, context.filename).split(sep).join('/');
  return path.startsWith('../') || path.endsWith('.mjs') ? undefined : { path, absolute: context.filename };
}

function placeOf(path) {
  const slash = path.indexOf('/');
  if (slash < 0) return { folder: 'src', floor: roof };
  const folder = path.slice(0, slash);
  return { folder, floor: floors.get(folder) };
}

/** What a file imports by a relative path, relative to src/; undefined for packages. */
function targetOf(imported, file) {
  if (!imported.startsWith('.')) return undefined;
  return relative(sourceRoot, resolve(dirname(file.absolute), imported))
    .split(sep)
    .join('/');
}

/** "operations/wal/push.ts" as { folder: 'operations', name: 'wal' }, { folder: 'operations/wal', name: 'push.ts' }. */
function stepsOf(path) {
  const names = path.split('/');
  return names.slice(1).map((name, n) => ({ folder: names.slice(0, n + 1).join('/'), name }));
}

/** Place in the order of its folder; undefined if it has none. */
function heightOf(folder, name) {
  const order = rooms.get(folder) ?? ['.'];
  const own = order.findIndex((each) => each === name || (Array.isArray(each) && each.includes(name)));
  const height = own < 0 && name.endsWith('.ts') ? order.indexOf('.') : own;
  return height < 0 ? undefined : height;
}

/** The shortest way of imports from one file of src/ to another, both included; undefined if there is none. */
function wayBetween(from, to) {
  const before = new Map([[from, undefined]]);
  for (const file of before.keys()) {
    if (file === to) return wayTo(file, before);
    for (const next of importsOf().get(file) ?? []) if (!before.has(next)) before.set(next, file);
  }
  return undefined;
}

function wayTo(last, before) {
  const way = [];
  for (let file = last; file !== undefined; file = before.get(file)) way.unshift(file);
  return way;
}

let imports;

/** What each file of src/ imports, read once. A rule sees one file at a time, a circle has more. */
function importsOf() {
  imports ??= new Map(
    readdirSync(sourceRoot, { recursive: true })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => {
        const text = readFileSync(resolve(sourceRoot, name), 'utf8').replaceAll(/\/\*[^]*?\*\//g, '');
        const found = [...text.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)];
        const targets = found.map(([, imported]) => targetOf(imported, { absolute: resolve(sourceRoot, name) }));
        return [name.split(sep).join('/'), targets];
      }),
  );
  return imports;
}

function sideways(target) {
  if (target.startsWith('commands/shared/')) return undefined;
  return `a command must not import another (${target}): what they share is an operation, ui/, or in commands/shared/`;
}

function nameOf(member) {
  return member.computed ? member.property.value : member.property.name;
}

export default {
  meta: { name: 'lifeboat' },
  rules: {
    floors: floorsRule,
    rooms: roomsRule,
    'no-circle': circlesRule,
    'packages-in-place': packagesRule,
    'environment-in-place': environmentRule,
    'files-in-place': filesRule,
    'no-barrel': barrelRule,
    'file-name': fileNameRule,
    'line-length': lineLengthRule,
  },
};
