/** A child that ends when its parent does, however the parent ends.
 *
 *  The parent opens one extra pipe to the child and never writes to it; INGOT_LIFELINE_FD names it.
 *  The kernel closes the parent's end when the parent is gone, SIGKILL included, and the child sees
 *  the end of the pipe. bin/ingot.js (plain JavaScript) and cli/child-node.ts are the parents. */
import { Socket } from 'node:net';

export const LIFELINE_VARIABLE = 'INGOT_LIFELINE_FD';
export const LIFELINE_FD = 3;

/** Calls `onParentGone` once, where this process has a lifeline. Does not keep the process
 *  alive. */
export function holdLifeline(onParentGone: () => void): void {
  const fd = process.env[LIFELINE_VARIABLE];
  if (fd === undefined) return;
  // Not for children of this process: they get a lifeline of their own, or none.
  delete process.env[LIFELINE_VARIABLE];
  const pipe = new Socket({ fd: Number(fd), readable: true, writable: false });
  pipe.on('error', () => pipe.destroy());
  pipe.once('close', onParentGone);
  pipe.resume();
  pipe.unref();
}
