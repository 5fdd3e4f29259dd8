/** A metric as data, before it is written in the format of whoever wants it. */

export interface Sample {
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly value: number;
}

/** What has one name. Units are base units (seconds, bytes, ratios from 0 to 1), and stand in the name. */
export interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  /** One line. */
  readonly help: string;
  readonly samples: readonly Sample[];
}

export function gauge(name: string, help: string, samples: readonly Sample[]): Family {
  return { name, type: 'gauge', help, samples };
}

/** No sample where there is no value: nothing is made up for what is not known. */
export function sample(value: number | undefined, labels?: Readonly<Record<string, string>>): Sample[] {
  return value === undefined ? [] : [{ value, ...(labels === undefined ? {} : { labels }) }];
}
