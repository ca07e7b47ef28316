/** Lets every promise of a simulated cluster come to rest.
 *
 *  The machines of the control plane speak in promises, and nothing but microtasks lies between what they are told and
 *  what they do. So after each event the simulation waits for the next turn of Node's loop, by when all of them have
 *  run. Nothing else of the loop has any part in a simulation. */
export function rest(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
