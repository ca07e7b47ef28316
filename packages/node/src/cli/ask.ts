/** One question to the control port of a node, for `ingot status` and `ingot verify`. */
import { status as GrpcStatus } from '@grpc/grpc-js';
import { ControlClient } from '../control/control-client.ts';
import { IngotError, unreachable } from '../shared/errors.ts';

export async function askNode<T>(
  address: string,
  question: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const client = new ControlClient(address, null);
  try {
    return await question(client);
  } catch (error) {
    throw error instanceof IngotError ? error : noAnswer(address, error);
  } finally {
    client.close();
  }
}

function noAnswer(address: string, error: unknown): unknown {
  const { code, details } = error as { code?: number; details?: string };
  if (code === undefined) return error;
  return unreachable(
    `the node at ${address}`,
    // grpc-js wraps the system's word for it in a paragraph of its own.
    /\bE[A-Z]{4,}\b/.exec(details ?? '')?.[0] ?? GrpcStatus[code] ?? String(code),
    'check that it runs and that --node names its control port',
  );
}
