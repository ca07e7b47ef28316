/** One question to the control port of a node, for `ingot status` and the like. */
import { status as GrpcStatus } from '@grpc/grpc-js';
import { ControlClient } from '../control/control-client.ts';
import { type ControlAccess, PLAIN_ACCESS } from '../control/peer-credentials.ts';
import { type Credentials, NO_CREDENTIALS } from '../shared/credentials.ts';
import { EXIT_UNREACHABLE, IngotError, unreachable } from '../shared/errors.ts';
import { hostPort, isLoopback } from './address.ts';
import { credentialsFrom } from './credentials.ts';
import { pointersIn, runtimeFolder } from './runtime-folder.ts';
import { type Environment, readSecretFile } from './secret.ts';
import type { OptionValues } from './values.ts';

const LOCAL_HOST = '127.0.0.1';
const CONTROL_PORT = 7600;

/** Whom `ingot status` and the like ask, and what they prove themselves with. */
export interface Asked {
  readonly address: string;
  readonly credentials: Credentials;
  /** Control ports of this machine where others of the same cluster listen, should it not answer. */
  readonly otherPorts?: readonly number[];
}

/** What is given counts; else what an `ingot up` of this user has left, for addresses of this
 *  machine. */
export function askedFrom(values: OptionValues, environment: Environment): Asked {
  const given = values.text('node');
  const credentials = credentialsFrom(values, environment);
  const pointers = pointersIn(runtimeFolder(environment));
  const standard = hostPort(LOCAL_HOST, CONTROL_PORT);
  const [first] = pointers;
  const running = first === undefined ? standard : hostPort(LOCAL_HOST, first.controlPort);
  const address = given ?? running;
  const pointer = pointers.find(({ controlPort }) => address.endsWith(`:${controlPort}`));
  const isLocal = isLoopback(address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, ''));
  if (credentials !== NO_CREDENTIALS || pointer === undefined || !isLocal) {
    return { address, credentials };
  }
  const ofTheSame = pointers.filter(({ pid }) => given === null && pid === pointer.pid);
  const otherPorts = ofTheSame.map(({ controlPort }) => controlPort).slice(1);
  const secret = readSecretFile(pointer.secretFile);
  return { address, otherPorts, credentials: { ...credentials, secret } };
}

/** Of several nodes that may be asked, the first that can be reached; the error is that of the
 *  first. */
export async function askNode<T>(
  { address, credentials, otherPorts = [] }: Asked,
  question: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const others = otherPorts.map((port) => hostPort(LOCAL_HOST, port));
  let why: unknown = null;
  for (const one of [address, ...others]) {
    try {
      return await askOne({ address: one, credentials }, question);
    } catch (error) {
      why ??= error;
      if (!(error instanceof IngotError) || error.exitCode !== EXIT_UNREACHABLE) throw error;
    }
  }
  throw why;
}

async function askOne<T>(
  { address, credentials }: Asked,
  question: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const access: ControlAccess = { ...PLAIN_ACCESS, credentials };
  const client = new ControlClient(address, null, access);
  try {
    return await question(client);
  } catch (error) {
    throw error instanceof IngotError ? error : noAnswer(address, error);
  } finally {
    client.close();
  }
}

function noAnswer(address: string, error: unknown): unknown {
  const { code, details = '', refusal } = error as Failed;
  if (code === undefined) return error;
  return unreachable(
    `the node at ${address}`,
    // grpc-js wraps the system's word for it in a paragraph of its own.
    refusal?.text ?? /\bE[A-Z]{4,}\b/.exec(details)?.[0] ?? GrpcStatus[code] ?? String(code),
    'check that it runs and that --node names its control port',
  );
}

interface Failed {
  readonly code?: number;
  readonly details?: string;
  readonly refusal?: { readonly text: string };
}
