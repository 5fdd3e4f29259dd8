/** Not written yet: the shapes only. */
import type { KeysAddRequest, KeysChangeResult, KeysGenerateRequest, KeysGenerateResult, KeysListRequest, KeysListResult, KeysRemoveRequest, KeysRotateRequest, Operation } from './requests.ts';

/** Needs no configuration. */
export async function generateKey(_request: KeysGenerateRequest): Promise<KeysGenerateResult> {
  throw new Error('generateKey is not written yet');
}

export const listKeys: Operation<KeysListRequest, KeysListResult> = async () => {
  throw new Error('listKeys is not written yet');
};

export const addKey: Operation<KeysAddRequest, KeysChangeResult> = async () => {
  throw new Error('addKey is not written yet');
};

export const removeKey: Operation<KeysRemoveRequest, KeysChangeResult> = async () => {
  throw new Error('removeKey is not written yet');
};

export const rotateKey: Operation<KeysRotateRequest, KeysChangeResult> = async () => {
  throw new Error('rotateKey is not written yet');
};
