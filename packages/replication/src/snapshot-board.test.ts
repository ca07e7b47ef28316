import { describe, expect, test } from 'vitest';
import { SnapshotBoard } from './snapshot-board.ts';

describe('the board of snapshots', () => {
  test('an image is free once every worker has looked since the swap', () => {
    const board = SnapshotBoard.create(4, 2);
    expect(board.allHaveSeen(0)).toBe(true);
    const version = board.publish(2, 0, 1_000);
    expect(board.allHaveSeen(version)).toBe(false);
    board.saw(0, board.version());
    expect(board.allHaveSeen(version)).toBe(false);
    board.saw(1, board.version());
    expect(board.allHaveSeen(version)).toBe(true);
    const next = board.publish(3, 1, 1_000);
    expect(board.allHaveSeen(next)).toBe(false);
    expect(board.allHaveSeen(version)).toBe(true);
  });

  test('other threads see what was published, through the buffer alone', () => {
    const board = SnapshotBoard.create(2, 1);
    board.publish(1, 1, 500);
    const elsewhere = new SnapshotBoard(board.buffer, 2);
    expect([elsewhere.current(0), elsewhere.current(1)]).toEqual([-1, 1]);
    expect(elsewhere.readable).toBe(1);
    expect(elsewhere.ageMs(1, 750)).toBe(250);
  });

  test('the oldest partition is what a node is as old as; one that is missing has no age', () => {
    const board = SnapshotBoard.create(2, 1);
    board.publish(0, 0, 100);
    expect(board.oldestMs(1_000)).toBeNull();
    board.publish(1, 0, 700);
    expect(board.oldestMs(1_000)).toBe(900);
    board.publish(0, 1, 990);
    expect(board.oldestMs(1_000)).toBe(300);
  });
});
