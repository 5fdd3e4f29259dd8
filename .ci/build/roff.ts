/** Text as man pages want it. */

/** One page; `sections` in order, each a title and roff lines. */
export function page(
  name: string,
  section: number,
  sentence: string,
  sections: readonly (readonly [string, readonly string[]])[],
): string {
  const head = [
    `.\\" Made by: npm run man`,
    `.TH ${name.toUpperCase()} ${section} "" lifeboat "Lifeboat manual"`,
    '.SH NAME',
    `${plain(name)} \\- ${plain(sentence)}`,
  ];
  const body = sections
    .filter(([, lines]) => lines.length > 0)
    .flatMap(([title, lines]) => [`.SH ${title.toUpperCase()}`, ...lines]);
  return `${[...head, ...body].join('\n')}\n`;
}

/** Running text: roff's own characters are escaped. */
export function plain(text: string): string {
  const escaped = text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll('–', '\\(en')
    .replaceAll('’', "'");
  return escaped.replaceAll(/^([.'])/gm, '\\&$1');
}

/** A paragraph. */
export function paragraph(text: string): string[] {
  return ['.PP', plain(text)];
}

/** A term in bold and what it means, indented. */
export function entry(term: string, meaning: string): string[] {
  return ['.TP', `\\fB${plain(term)}\\fR`, plain(meaning)];
}

/** Lines as they are. */
export function literal(lines: readonly string[]): string[] {
  return ['.PP', '.nf', '.RS 4', ...lines.map(plain), '.RE', '.fi'];
}
