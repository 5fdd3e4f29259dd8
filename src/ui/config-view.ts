/** What `lifeboat config show` prints. */
import type { ConfigRow } from '../config/describe.ts';
import { columns } from './table.ts';
import type { View } from './view.ts';

export interface ConfigShowResult {
  readonly file: string | undefined;
  readonly values: readonly ConfigRow[];
  readonly warnings: readonly string[];
}

export const configView: View<ConfigShowResult> = {
  schema: 'lifeboat.config-show/v1',
  kind: 'query',
  text: async ({ file, values }) => {
    const rows = values.map(({ path, value, origin }) => [
      path,
      typeof value === 'string' ? value : JSON.stringify(value),
      origin,
    ]);
    const head = file === undefined ? 'no configuration file' : `configuration file ${file}`;
    return `${head}\n\n${await columns(['NAME', 'VALUE', 'FROM'], rows)}`;
  },
};

/** The schema itself is the document, with or without --json. */
export const schemaView: View<Record<string, unknown>> = {
  schema: 'https://json-schema.org/draft/2020-12/schema',
  kind: 'query',
  text: (schema) => JSON.stringify(schema, null, 2),
};
