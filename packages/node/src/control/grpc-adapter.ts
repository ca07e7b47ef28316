/** The seam between protobuf-es, which describes services, and grpc-js, which speaks gRPC: turns a
 *  generated service into grpc-js method definitions, with the types kept on both sides.
 *  Also the two things that every call here shares: the message bound, and how an IngotError
 *  crosses the wire. Knows nothing of what the calls mean. */
import type { DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { GenService, GenServiceMethods } from '@bufbuild/protobuf/codegenv2';
import {
  type CallOptions,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { EXIT_REFUSED, IngotError } from '../shared/errors.ts';

export const messageBytesMax: number = 4 * 1024 * 1024;

export const channelOptions: ChannelOptions = {
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc.max_send_message_length': messageBytesMax,
  // Nobody asks for what it counts, message by message.
  'grpc.enable_channelz': 0,
};

/** The metadata that says which cluster a caller belongs to. */
export const clusterIdKey = 'ingot-cluster-id';
/** Set where a node hands on what it was asked: whoever gets it asks nobody else. */
export const forwardedKey = 'ingot-forwarded';

/** A method of a generated service. */
export type Method = GenServiceMethods[string] & DescMethod;
type Input<M extends GenServiceMethods[string]> = MessageShape<M['input']>;
export type Output<M extends GenServiceMethods[string]> = MessageShape<M['output']>;

/** The handlers that a service asks for, as grpc-js wants them. */
type Handlers<Methods extends GenServiceMethods> = {
  [Name in keyof Methods]: Methods[Name]['methodKind'] extends 'unary'
    ? handleUnaryCall<Input<Methods[Name]>, Output<Methods[Name]>>
    : Methods[Name]['methodKind'] extends 'server_streaming'
      ? handleServerStreamingCall<Input<Methods[Name]>, Output<Methods[Name]>>
      : handleBidiStreamingCall<Input<Methods[Name]>, Output<Methods[Name]>>;
};

export type ServiceHandlers<Service> =
  Service extends GenService<infer Methods> ? Handlers<Methods> : never;

/** What `Server.addService` takes. */
export function serviceParts<Methods extends GenServiceMethods>(
  service: GenService<Methods>,
  handlers: Partial<Handlers<Methods>>,
): [ServiceDefinition, UntypedServiceImplementation] {
  const definition = Object.fromEntries(
    service.methods.map((method) => [method.localName, definitionOf(method)]),
  );
  return [definition, handlers as UntypedServiceImplementation];
}

/** Calls a method that answers once. Rejects with an IngotError where the server refused, else with
 *  grpc-js's ServiceError. */
export function callUnary<M extends Method>(
  client: Client,
  method: M,
  request: MessageInitShape<M['input']>,
  metadata: Metadata,
  options: CallOptions,
): Promise<Output<M>> {
  const { path, requestSerialize, responseDeserialize } = definitionOf(method);
  const message = create(method.input, request);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      metadata,
      options,
      (error, reply) => (error === null ? resolve(reply as Output<M>) : reject(fromWire(error))),
    );
  });
}

/** Calls a method that answers with a stream. */
export function openServerStream<M extends Method>(
  client: Client,
  method: M,
  request: MessageInitShape<M['input']>,
  metadata: Metadata,
): ClientReadableStream<Output<M>> {
  const { path, requestSerialize, responseDeserialize } = definitionOf(method);
  const message = create(method.input, request);
  return client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    message,
    metadata,
  ) as ClientReadableStream<Output<M>>;
}

/** Calls a method with a stream in both directions. */
export function openBidiStream<M extends Method>(
  client: Client,
  method: M,
  metadata: Metadata,
): ClientDuplexStream<Input<M>, Output<M>> {
  const { path, requestSerialize, responseDeserialize } = definitionOf(method);
  return client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    metadata,
  ) as ClientDuplexStream<Input<M>, Output<M>>;
}

/** How the server ends a call that went wrong: a refusal keeps its code and its sentence. */
export function toWire(error: unknown): Partial<ServiceError> {
  const details = error instanceof Error ? error.message : String(error);
  if (!(error instanceof IngotError)) return { code: status.INTERNAL, details };
  const metadata = new Metadata();
  metadata.set('ingot-code', error.code);
  return { code: status.FAILED_PRECONDITION, details, metadata };
}

/** The other end of `toWire`; other errors pass through. */
export function fromWire(error: unknown): Error {
  const { metadata, details } = error as Partial<ServiceError>;
  const code = metadata?.get('ingot-code')[0];
  if (code === undefined) return error as Error;
  return new IngotError(String(code), details ?? '', EXIT_REFUSED);
}

type WireDefinition = MethodDefinition<MessageShape<DescMethod['input']>, unknown>;

function definitionOf(method: DescMethod): WireDefinition {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream:
      method.methodKind === 'bidi_streaming' || method.methodKind === 'client_streaming',
    responseStream:
      method.methodKind === 'bidi_streaming' || method.methodKind === 'server_streaming',
    requestSerialize: (message) => Buffer.from(toBinary(method.input, message)),
    requestDeserialize: (bytes) => fromBinary(method.input, bytes),
    responseSerialize: (message) => Buffer.from(toBinary(method.output, message as never)),
    responseDeserialize: (bytes) => fromBinary(method.output, bytes),
  };
}
