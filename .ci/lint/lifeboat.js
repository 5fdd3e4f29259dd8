/**
 * The project's own lint rules: what may import what. They look at every way to import (static, type
 * only, re-export, `import()`, `import('…')` in a type), because heavy modules are loaded late here, and
 * the stock rules for restricted imports see static ones only.
 *
 * The table of floors is the one in ARCHITECTURE.md. test/unit/lint.test.ts plants a violation of each rule.
 */
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

/** Files in src/ itself stand above all floors; the folder `shared` holds what commands have in common. */
const roof = 7;

/** Packages and built-in modules that only some files of src/ may touch. */
const places = [
  { what: /^(chalk|ora|cli-table3)$/, where: /^ui\//, why: 'only ui/ draws on the terminal' },
  { what: /^(commander)$/, where: /^(commands\/|ui\/|program\.ts$)/, why: 'only commands know of flags' },
  {
    what: /^(execa|(node:)?child_process|(node:)?cluster)$/,
    where: /^lib\/exec\.ts$/,
    why: 'only lib/exec.ts starts programs',
  },
  { what: /^@aws-sdk\//, where: /^storage\//, why: 'only storage/ knows of S3' },
  { what: /^pg$/, where: /^source\/postgres\//, why: 'only source/postgres/ speaks to PostgreSQL' },
  { what: /^ioredis$/, where: /^source\/redis\//, why: 'only source/redis/ speaks to Redis' },
  {
    what: /^zod$/,
    where: /^((config|storage|source|repository|operations)\/|ui\/json\/)/,
    why: 'foreign data is parsed below the commands; ui/json/ describes our own',
  },
];

const floorsRule = importRule((imported, file) => {
  if (!imported.startsWith('.')) return undefined;
  const target = relative(sourceRoot, resolve(dirname(file.absolute), imported))
    .split(sep)
    .join('/');
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
    'packages-in-place': packagesRule,
    'environment-in-place': environmentRule,
    'no-barrel': barrelRule,
    'file-name': fileNameRule,
  },
};
