/** What every lease authority must do, whatever stands behind it. */
import { describe, expect, test } from 'vitest';
import type { AcceptorSet, Life } from '../shared/map.ts';
import { fenceWaitShare, type LeaseAuthority, leaseMs, NotDeadYet } from './authority.ts';

export interface LeasesUnderTest {
  readonly leases: LeaseAuthority;
  /** What fences are said to rest on. */
  readonly acceptors: AcceptorSet;
  /** The life that `leases` can renew. */
  readonly own: Life;
  readonly nowMs: () => number;
  readonly pass: (ms: number) => void;
  /** The authority starts anew, from what it has kept. */
  readonly restart: () => void;
}

export function leasesContract(name: string, open: () => LeasesUnderTest): void {
  const waitMs = fenceWaitShare * leaseMs;

  describe(`leases: ${name}`, () => {
    test('a lease counts from when its renewal was sent', async () => {
      const { leases, own, nowMs, pass } = open();
      const sentMs = nowMs();
      expect(await leases.renew(own)).toEqual({ untilMs: sentMs + leaseMs });
      pass(500);
      expect(await leases.renew(own)).toEqual({ untilMs: sentMs + 500 + leaseMs });
    });

    test('a life is ended no earlier than its lease, then for good', async () => {
      const { leases, own, pass, acceptors } = open();
      pass(waitMs);
      await leases.renew(own);
      pass(waitMs - 1);
      await expect(leases.fence(own)).rejects.toMatchObject({ waitMs: 1 });
      await leases.renew(own);
      pass(waitMs);
      expect(await leases.fence(own)).toEqual(acceptors);
      await expect(leases.renew(own)).rejects.toMatchObject({ code: 'RETIRED' });
    });

    test('who was ended stays so, and may be ended again', async () => {
      const { leases, own, pass, restart, acceptors } = open();
      pass(waitMs);
      await leases.fence(own);
      restart();
      await expect(leases.renew(own)).rejects.toMatchObject({ code: 'RETIRED' });
      expect(await leases.fence(own)).toEqual(acceptors);
    });

    test('who holds the lock of the data dir need not wait', async () => {
      const { leases, own } = open();
      await leases.renew(own);
      await leases.fence(own, true);
      await expect(leases.renew(own)).rejects.toMatchObject({ code: 'RETIRED' });
    });

    test('a fence ends earlier lives too, and no later one', async () => {
      const { leases, own, pass } = open();
      const { node, incarnation } = own;
      pass(waitMs);
      await leases.fence({ node, incarnation: incarnation - 1 });
      await leases.renew(own);
      await leases.fence({ node, incarnation: incarnation - 2 });
      await expect(leases.fence(own)).rejects.toThrow(NotDeadYet);
    });
  });
}
