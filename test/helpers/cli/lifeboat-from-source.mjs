/** For `node --import`: the package's own name means src/ here, as dist/ need not be built, or be older. */
import { registerHooks } from 'node:module';

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'lifeboat'
      ? { url: new URL('../../../src/index.ts', import.meta.url).href, shortCircuit: true }
      : next(specifier, context),
});
