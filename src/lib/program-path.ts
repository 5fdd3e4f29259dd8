/** Where this program lies: recipes, crontabs and runbooks are read by what has neither our folder nor our PATH. */
import { fileURLToPath } from 'node:url';

/** Absolute path of bin/lifeboat.js, which finds its Node itself; from src/ and from dist/ it is the same. */
export const programPath = fileURLToPath(new URL('../../bin/lifeboat.js', import.meta.url));
