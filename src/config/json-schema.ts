/** The JSON Schema of the configuration file, for editors. */
import { z } from 'zod';
import { settingsSchema } from './schema.ts';

/** A JSON Schema (draft 2020-12) document; plain data. */
export function configJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(settingsSchema, { io: 'input' }) as Record<string, unknown>;
}
