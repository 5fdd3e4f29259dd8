/** Documents of operators' own: {{names}} in the texts of a JSON document. What is filled in is never read as JSON. */
import type { Notice } from '../notice.ts';

/** A name that is not known stays as it is. */
export function filledTemplate(template: unknown, notice: Notice): unknown {
  const values: Readonly<Record<string, string>> = {
    title: notice.title,
    text: notice.text,
    severity: notice.severity,
    event: notice.event,
    outcome: notice.outcome,
    target: notice.target ?? '',
    host: notice.host,
    at: notice.at,
    next: notice.next ?? '',
    incident: notice.incident?.key ?? '',
    id: notice.id,
  };
  return fill(template, values);
}

function fill(value: unknown, values: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') {
    return value.replaceAll(/\{\{(\w+)\}\}/g, (whole, name: string) =>
      Object.hasOwn(values, name) ? (values[name] ?? '') : whole,
    );
  }
  if (Array.isArray(value)) return value.map((each) => fill(each, values));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, fill(each, values)]));
}
