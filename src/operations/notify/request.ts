/** What the commands of notifications are asked and what they answer. Times RFC 3339 in UTC. */
import type { ChannelType } from '../../config/config.ts';
import type { Some } from '../complete.ts';

export interface NotifyTestRequest {
  /** Undefined: all. */
  readonly channel?: string | undefined;
  /** One message of each kind of event, in place of a failure and its end. */
  readonly eachEvent?: boolean | undefined;
}

export type NotifyTestOptions = Some<NotifyTestRequest>;

export interface NotifyTestResult {
  /** `problem`: why it did not arrive. */
  readonly channels: readonly {
    readonly name: string;
    readonly type: ChannelType;
    readonly arrived: boolean;
    readonly problem?: string | undefined;
  }[];
}

export interface NotifyFlushRequest {
  readonly channel?: string | undefined;
}

export type NotifyFlushOptions = Some<NotifyFlushRequest>;

export interface NotifyFlushResult {
  readonly channels: readonly {
    readonly name: string;
    readonly sent: number;
    readonly waiting: number;
    readonly problem?: string | undefined;
  }[];
}

export interface NotifyListResult {
  readonly channels: readonly ChannelFacts[];
  /** What is wrong now, the oldest first. */
  readonly incidents: readonly {
    readonly key: string;
    readonly since: string;
    readonly count: number;
    readonly severity: 'info' | 'warning' | 'critical';
    readonly title: string;
    readonly target?: string | undefined;
    readonly acknowledgedAt?: string | undefined;
  }[];
}

/** How a channel is doing. */
export interface ChannelFacts {
  readonly name: string;
  readonly type: ChannelType;
  /** Messages that are not sent yet. */
  readonly waiting: number;
  /** Since when no attempt has succeeded; undefined: the last one has. */
  readonly failingSince?: string | undefined;
  readonly problem?: string | undefined;
  readonly nextTryAt?: string | undefined;
  readonly deliveredAt?: string | undefined;
  /** That nobody will get. */
  readonly dropped: number;
}
