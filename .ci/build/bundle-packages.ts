/** What is changed in Node's own modules and in packages when they are bundled. */
import type { Plugin } from 'esbuild';

/**
 * An import of one of Node's modules looks at each of its members, and some of them (fs.ReadStream, crypto.webcrypto,
 * util.parseArgs) load a dozen modules each: a fifth of a start. So only the members that are used are asked for.
 */
export function builtinModules(): Plugin {
  const namespace = 'builtin';
  return {
    name: namespace,
    setup: (build) => {
      build.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
        kind === 'import-statement' ? { path, namespace } : undefined,
      );
      build.onLoad({ filter: /.*/, namespace }, ({ path }) => ({ contents: membersOf(path) }));
    },
  };
}

/** ES module of the members; each is dropped from the bundle if nobody imports it. */
function membersOf(path: string): string {
  const names = Object.keys(process.getBuiltinModule(path) ?? {}).filter((name) => /^[a-z_$][\w$]*$/i.test(name));
  const members = names
    .filter((name) => name !== 'default')
    .map((name) => `const $${name} = /* @__PURE__ */ (() => all.${name})();\nexport { $${name} as ${name} };`);
  return [
    `const all = /* @__PURE__ */ process.getBuiltinModule(${JSON.stringify(path)});`,
    'export default all;',
    ...members,
  ].join('\n');
}

/** zod brings its messages in 60 languages, all of which are loaded; we speak one, and choose none of them. */
export function zodLanguages(): Plugin {
  return {
    name: 'zod-languages',
    setup: (build) => {
      build.onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({ contents: 'export {};' }));
    },
  };
}
