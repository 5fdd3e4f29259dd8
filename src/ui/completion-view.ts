/**
 * What `lifeboat completion` prints: a script for bash, zsh or fish, made from the commands and flags that there are.
 */
import type { NameKind, NamesResult } from '../operations/list/names.ts';
import type { View } from './view.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

/** One command and what may stand after it. */
export interface CommandNode {
  readonly name: string;
  readonly sentence: string;
  readonly flags: readonly FlagNode[];
  readonly commands: readonly CommandNode[];
  /** What may stand after it besides. */
  readonly names?: NameKind | undefined;
}

export interface FlagNode {
  /** `--config`, `-q`. */
  readonly names: readonly string[];
  readonly sentence: string;
  /** What the next word is, if the flag takes one. */
  readonly value: 'file' | 'target' | 'other' | undefined;
}

export interface CompletionResult {
  readonly shell: Shell;
  readonly script: string;
}

export const completionView: View<CompletionResult> = {
  schema: 'lifeboat.completion/v1',
  hasLines: true,
  kind: 'query',
  text: ({ script }) => script,
};

/** One a line. */
export const namesView: View<NamesResult> = {
  schema: 'lifeboat.completion-names/v1',
  kind: 'query',
  text: ({ names }) => names.join('\n'),
};

/** The script for one shell; `program` is the whole tree, its flags may stand everywhere. */
export function completionScript(shell: Shell, program: CommandNode): string {
  const places = placesOf(program, '', program.flags);
  return { bash: () => bashScript(places), zsh: () => zshScript(places), fish: () => fishScript(program) }[shell]();
}

/** A command by its path ("/keys/list") with all that may stand there. */
interface Place {
  readonly path: string;
  readonly commands: readonly CommandNode[];
  readonly flags: readonly FlagNode[];
  readonly names: NameKind | undefined;
}

function placesOf(node: CommandNode, path: string, global: readonly FlagNode[]): Place[] {
  const own = node.flags === global ? [] : node.flags;
  const here: Place = { path, commands: node.commands, flags: [...own, ...global], names: node.names };
  return [here, ...node.commands.flatMap((inner) => placesOf(inner, `${path}/${inner.name}`, global))];
}

/** Shell patterns, one alternative each. */
function patterns(all: readonly string[]): string {
  return [...new Set(all)].map((each) => `'${each}'`).join('|');
}

function valueFlags(places: readonly Place[], kind: NonNullable<FlagNode['value']>): string[] {
  return places.flatMap(({ flags }) => flags).flatMap(({ names, value }) => (value === kind ? names : []));
}

/**
 * Finds the command in the words before the cursor (the value of a flag is not one), in $at; the flag right before it,
 * in $before.
 */
function walk(places: readonly Place[], word: string, from: number, to: string): string {
  const paths = places.map(({ path }) => path).filter((path) => path !== '');
  const values = (['file', 'target', 'other'] as const).flatMap((kind) => valueFlags(places, kind));
  return `  local at='' before='' word i
  for ((i = ${from}; i < ${to}; i++)); do
    word=${word}
    if [[ -n $before ]]; then before=''; continue; fi
    case $word in ${patterns(values)}) before=$word; continue ;; esac
    case $at/$word in ${patterns(paths)}) at=$at/$word ;; esac
  done`;
}

function bashScript(places: readonly Place[]): string {
  const cases = places.map(
    ({ path, commands, flags, names }) =>
      `    '${path}') ` +
      `words='${[...commands.map(({ name }) => name), ...flags.flatMap((flag) => flag.names)].join(' ')}'` +
      `${names === undefined ? '' : `; kind=${names}`} ;;`,
  );
  const completeFiles = 'compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return';
  return `# bash completion of lifeboat. To have it: lifeboat completion bash > /etc/bash_completion.d/lifeboat
_lifeboat() {
${walk(places, '${COMP_WORDS[i]}', 1, 'COMP_CWORD')}
  local cur=\${COMP_WORDS[COMP_CWORD]} words='' kind=''
  COMPREPLY=()
  case $before in
    ${patterns(valueFlags(places, 'file'))}) ${completeFiles} ;;
    ${patterns(valueFlags(places, 'target'))}) kind=targets ;;
    ?*) return ;;
  esac
  [[ -n $kind ]] || case $at in
${cases.join('\n')}
  esac
  if [[ -n $kind && $cur != -* ]]; then
    words=$("\${COMP_WORDS[0]}" completion bash --names $kind 2>/dev/null </dev/null)
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _lifeboat lifeboat`;
}

function zshScript(places: readonly Place[]): string {
  const entry = (word: string, sentence: string): string => quoted(`${word.replaceAll(':', '\\:')}:${sentence}`);
  const cases = places.map(({ path, commands, flags, names: kind }) => {
    const entries = [
      ...commands.map(({ name, sentence }) => entry(name, sentence)),
      ...flags.flatMap(({ names, sentence }) => names.map((name) => entry(name, sentence))),
    ];
    return `    '${path}') entries=(${entries.join(' ')})${kind === undefined ? '' : `; kind=${kind}`} ;;`;
  });
  return `#compdef lifeboat
# zsh completion of lifeboat. To have it: lifeboat completion zsh > "\${fpath[1]}/_lifeboat"
_lifeboat() {
${walk(places, '${words[i]}', 2, 'CURRENT')}
  local -a entries
  local kind=''
  case $before in
    ${patterns(valueFlags(places, 'file'))}) _files; return ;;
    ${patterns(valueFlags(places, 'target'))}) kind=targets ;;
    ?*) return ;;
  esac
  [[ -n $kind ]] || case $at in
${cases.join('\n')}
  esac
  if [[ -n $kind && \${words[CURRENT]} != -* ]]; then
    entries=(\${(f)"$(\${words[1]} completion zsh --names $kind 2>/dev/null </dev/null)"})
  fi
  _describe lifeboat entries
}
compdef _lifeboat lifeboat`;
}

function fishScript(program: CommandNode): string {
  const lines = [
    '# fish completion of lifeboat. To have it: lifeboat completion fish > ~/.config/fish/completions/lifeboat.fish',
    'complete -c lifeboat -f',
    ...program.flags.map((flag) => fishFlag(flag, '')),
  ];
  const top = `not __fish_seen_subcommand_from ${program.commands.map(({ name }) => name).join(' ')}`;
  for (const command of program.commands) {
    lines.push(fishCommand(command, top));
    const here = `__fish_seen_subcommand_from ${command.name}`;
    lines.push(...command.flags.map((flag) => fishFlag(flag, here)), ...fishNames(command, here));
    const inner = command.commands.map(({ name }) => name).join(' ');
    for (const each of command.commands) {
      lines.push(fishCommand(each, `${here}; and not __fish_seen_subcommand_from ${inner}`));
      const there = `${here}; and __fish_seen_subcommand_from ${each.name}`;
      lines.push(...each.flags.map((flag) => fishFlag(flag, there)), ...fishNames(each, there));
    }
  }
  return lines.join('\n');
}

function fishCommand({ name, sentence }: CommandNode, when: string): string {
  return `complete -c lifeboat -n ${quoted(when)} -a ${name} -d ${quoted(sentence)}`;
}

function fishNames({ names }: CommandNode, when: string): string[] {
  return names === undefined ? [] : [`complete -c lifeboat -n ${quoted(when)} -a ${listed(names)}`];
}

function listed(kind: NameKind): string {
  return quoted(`(lifeboat completion fish --names ${kind} 2>/dev/null)`);
}

function fishFlag({ names, sentence, value }: FlagNode, when: string): string {
  const kinds = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const given = value === 'file' ? ' -r -F' : value === 'target' ? ` -x -a ${listed('targets')}` : ' -x';
  const needs = value === undefined ? '' : given;
  const where = when === '' ? '' : ` -n ${quoted(when)}`;
  return `complete -c lifeboat${where} ${kinds.join(' ')}${needs} -d ${quoted(sentence)}`;
}

/** In single quotes, as both zsh and fish read them. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '').replaceAll("'", '’')}'`;
}
