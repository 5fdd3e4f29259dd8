/**
 * The manual pages and JSON Schemas, made from what the program itself knows: flags from commander, keys
 * from the configuration's schema, names from the table of environment variables, exit codes from the table of errors.
 */
import { PassThrough } from 'node:stream';
import { configJsonSchema } from '../../src/config/json-schema.ts';
import type { Manual } from '../../src/commands/shared/manual-page.ts';
import { manuals } from '../../src/manuals.ts';
import { declareAll } from '../../src/program.ts';
import { documentJsonSchema, documents, type DocumentName } from '../../src/ui/json/documents.ts';
import { commandPage } from './command-page.ts';
import { configPage } from './config-page.ts';
import { programPage } from './program-page.ts';

/** Every generated file by its path from the project's root. */
export async function generatedFiles(): Promise<Map<string, string>> {
  const nowhere = new PassThrough();
  const program = await declareAll({ stdin: nowhere, stdout: nowhere, stderr: nowhere, env: {}, cwd: '/' });
  const files = new Map<string, string>([
    ['man/lifeboat.1', programPage(program)],
    ['man/lifeboat.config.5', configPage()],
    ['src/schemas/lifeboat.config.json', json(configJsonSchema())],
  ]);
  for (const command of program.commands) {
    const { manual } = await manualOf(command.name());
    files.set(`man/lifeboat-${command.name()}.1`, commandPage(command, program, manual));
  }
  for (const name of Object.keys(documents) as DocumentName[]) {
    files.set(`src/schemas/lifeboat.${name}.v1.json`, json(documentJsonSchema(name)));
  }
  return files;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

async function manualOf(name: string): Promise<{ readonly manual: Manual }> {
  const load = manuals[name];
  if (load === undefined) throw new Error(`src/manuals.ts has no manual of ${name}`);
  return load();
}
