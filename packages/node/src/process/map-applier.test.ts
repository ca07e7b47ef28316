import { describe, expect, test } from 'vitest';
import { plainEntry, plainMap } from '../shared/map.fixture.ts';
import type { PlacementEntry } from '../shared/map.ts';
import { type LocalCopy, planSteps, type Step } from './map-applier.ts';

function entry(epoch: number, primary: string | null, ...followers: string[]): PlacementEntry {
  return plainEntry(primary, followers, { epoch });
}

function plan(placement: PlacementEntry[], local: Record<number, LocalCopy> = {}): string[] {
  const copies = new Map(Object.entries(local).map(([id, copy]) => [Number(id), copy]));
  return planSteps(plainMap({ placement }), 'me', copies).map(text);
}

function text(step: Step): string {
  if (step.kind === 'publish') return 'publish';
  const epoch = 'epoch' in step ? ` @${step.epoch}` : '';
  return `${step.kind} ${step.partition}${epoch}`;
}

const leading: LocalCopy = { role: 'primary', epoch: 3, consistent: true };
const following: LocalCopy = { role: 'follower', epoch: 3, consistent: true };
const syncing: LocalCopy = { role: 'follower', epoch: 3, consistent: false };

describe('map-applier', () => {
  test('nothing to change: the map is published all the same', () => {
    expect(plan([entry(3, 'me', 'b'), entry(3, 'b', 'me')], { 0: leading, 1: following })).toEqual([
      'publish',
    ]);
  });

  test('a partition that is founded here is created and led before any worker sees it', () => {
    expect(plan([entry(1, 'me')])).toEqual(['create 0', 'promote 0 @1', 'attach 0', 'publish']);
  });

  test('a new copy is created empty and follows', () => {
    expect(plan([entry(4, 'b', 'me')])).toEqual(['create 0', 'follow 0 @4', 'attach 0', 'publish']);
  });

  test('what others hold is none of our business', () => {
    expect(plan([entry(1, 'b', 'c'), entry(1, null)])).toEqual(['publish']);
  });

  test('a handover: the old primary follows at the new epoch, the new one is promoted', () => {
    expect(plan([entry(4, 'b', 'me')], { 0: leading })).toEqual(['follow 0 @4', 'publish']);
    expect(plan([entry(4, 'me', 'b')], { 0: following })).toEqual(['promote 0 @4', 'publish']);
  });

  test('whoever loses a partition stops before anything is taken over', () => {
    expect(
      plan([entry(4, 'me', 'b'), entry(4, 'b', 'me'), entry(5, 'b', 'c')], {
        0: following,
        1: leading,
        2: leading,
      }),
    ).toEqual(['follow 1 @4', 'retire 2', 'promote 0 @4', 'publish', 'drop 2']);
  });

  test('a copy is dropped only after the workers know the map without it', () => {
    expect(plan([entry(4, 'b', 'c')], { 0: following })).toEqual(['retire 0', 'publish', 'drop 0']);
  });

  test('a follower whose primary changed takes the new epoch', () => {
    expect(plan([entry(5, 'c', 'me')], { 0: following })).toEqual(['follow 0 @5', 'publish']);
  });

  test('a copy that may lack writes is never promoted', () => {
    expect(plan([entry(4, 'me')], { 0: syncing })).toEqual(['refuse 0 @4', 'publish']);
    expect(plan([entry(4, 'me')])).toEqual(['refuse 0 @4', 'publish']);
  });

  test('a lost partition starts again from an empty copy', () => {
    expect(
      plan([{ ...entry(4, 'me'), lost: true, inSync: [], lossy: false }], { 0: syncing }),
    ).toEqual(['create 0', 'promote 0 @4', 'attach 0', 'publish']);
  });

  test('a primary whose epoch alone moved begins that epoch', () => {
    expect(plan([entry(9, 'me')], { 0: leading })).toEqual(['promote 0 @9', 'publish']);
  });
});
