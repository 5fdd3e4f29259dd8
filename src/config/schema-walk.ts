/** Finding the schema of a value inside the configuration: for suggestions, and to know which values are secrets. */
import type { z } from 'zod';
import { secretSchema } from './schema-pieces.ts';

export type Schema = z.core.$ZodType;

interface Definition {
  readonly innerType?: Schema;
  readonly options?: readonly Schema[];
  readonly valueType?: Schema;
  readonly element?: Schema;
  readonly shape?: Readonly<Record<string, Schema>>;
}

/** The schemas below optional, default and union; a secret stays whole. */
export function unwrapSchema(schema: Schema): readonly Schema[] {
  if (isSecretSchema(schema)) return [schema];
  const { innerType, options } = definitionOf(schema);
  if (innerType !== undefined) return unwrapSchema(innerType);
  return options === undefined ? [schema] : options.flatMap(unwrapSchema);
}

/** What a key of an object, or of a record, may hold. */
export function innerSchemas(schema: Schema, key: string): readonly Schema[] {
  const { valueType, element, shape } = definitionOf(schema);
  const inner = valueType ?? element ?? shape?.[key];
  return inner === undefined ? [] : unwrapSchema(inner);
}

export function keysOfSchema(schema: Schema): string[] {
  return Object.keys(definitionOf(schema).shape ?? {});
}

/** A description makes another schema object, but of the same definition. */
export function isSecretSchema(schema: Schema): boolean {
  return schema._zod.def === secretSchema._zod.def;
}

function definitionOf(schema: Schema): Definition {
  return schema._zod.def as Definition;
}
