/** A text inside a document that can be read without a key: in the open without encryption, else a box of its own. */
import { openBox, sealBox } from './box.ts';
import type { DataKey } from './crypto.ts';
import { boxKind } from './layout.ts';

/** Base64 of a box of kind 4 that is bound to the document's name; without a data key the text itself. */
export async function sealText(text: string, object: string, dataKey: DataKey | undefined): Promise<string> {
  if (dataKey === undefined) return text;
  const parts = await sealBox(boxKind.document, object, dataKey, Buffer.from(text), { method: 'none', level: 0 });
  return Buffer.concat(parts).toString('base64');
}

/** What sealText made. Throws LifeboatError `integrity`. */
export async function openSealedText(sealed: string, object: string, dataKey: DataKey | undefined): Promise<string> {
  if (dataKey === undefined) return sealed;
  return (await openBox(Buffer.from(sealed, 'base64'), boxKind.document, object, dataKey)).toString();
}
