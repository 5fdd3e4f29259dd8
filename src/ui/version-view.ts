/** What `lifeboat version` prints. */
import type { View } from './view.ts';

export interface VersionResult {
  readonly lifeboat: string;
  readonly node: string;
  readonly platform: string;
  readonly repositoryFormat: number;
}

export const versionView: View<VersionResult> = {
  schema: 'lifeboat.version/v1',
  kind: 'query',
  text: ({ lifeboat, node, platform, repositoryFormat }) =>
    `lifeboat ${lifeboat} (repository format ${repositoryFormat}, Node ${node}, ${platform})`,
};
