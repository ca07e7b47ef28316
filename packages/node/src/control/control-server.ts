/** The control port of a node. It listens before the node is a member, so that a port in use is
 *  found out before anybody is told of the node; until `serve` is called, callers are told to try
 *  again. */
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js';
import { portInUse, refusal } from '../shared/errors.ts';
import { PORT_FLAGS } from '../shared/settings.ts';
import { controlHandlers, type Member } from './control-service.ts';
import { Control } from './gen/ingot_pb.ts';
import { channelOptions, serviceParts } from './grpc-adapter.ts';

// Whatever goes wrong arrives as an error, and is said once, in the node's own words.
setLogVerbosity(logVerbosity.NONE);

export class ControlServer {
  readonly #server = new Server(channelOptions);
  #member: Member | null = null;

  constructor() {
    this.#server.addService(
      ...serviceParts(
        Control,
        controlHandlers(() => this.#member),
      ),
    );
  }

  /** Rejects with an IngotError where the port cannot be had. */
  async listen(host: string, port: number): Promise<void> {
    const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error) =>
          error === null ? resolve() : reject(error),
        );
      });
    } catch (error) {
      const why = (error as Error).message;
      if (why.includes('EADDRINUSE')) throw portInUse(PORT_FLAGS.control, host, port);
      throw refusal(
        'CANNOT_BIND',
        `port ${port} on ${host} cannot be opened (${why}); check --host and ${PORT_FLAGS.control}`,
      );
    }
  }

  serve(member: Member): void {
    this.#member = member;
  }

  close(): void {
    this.#member = null;
    this.#server.forceShutdown();
  }
}
