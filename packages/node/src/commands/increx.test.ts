import { describe, expect, it } from 'vitest';
import { SingleNode } from './single-node.fixture.ts';

const error = (text: RegExp): unknown => ({ error: expect.stringMatching(text) });
const syntaxError = { error: 'ERR syntax error' };
const MAX = 9_223_372_036_854_775_807n;

/** What https://redis.io/docs/latest/commands/increx/ says, its examples first. */
describe('INCREX', () => {
  const node = new SingleNode();

  it.each<[command: string, reply: unknown]>([
    ['INCREX mykey', [1, 1]],
    ['INCREX mykey', [2, 1]],
    ['SET mykey 100', 'OK'],
    ['INCREX mykey BYINT 5', [105, 5]],
    ['INCREX mykey BYINT -10', [95, -10]],
    ['SET mykey 1.5', 'OK'],
    ['INCREX mykey BYFLOAT 0.25', ['1.75', '0.25']],
    ['INCREX mykey', error(/^ERR value is not an integer/)],
    ['DEL mykey', 1],
    ['INCREX mykey BYINT 1 EX 100', [1, 1]],
    ['TTL mykey', 100],
    ['INCREX mykey', [2, 1]],
    ['TTL mykey', 100],
    ['SET mykey 10', 'OK'],
    ['INCREX mykey BYINT 1 EX 100 ENX', [11, 1]],
    ['TTL mykey', 100],
    ['SET mykey 10 EX 500', 'OK'],
    ['INCREX mykey BYINT 1 EX 10 ENX', [11, 1]],
    ['TTL mykey', 500],
    ['INCREX mykey BYINT 1 PERSIST', [12, 1]],
    ['TTL mykey', -1],
    ['SET mykey 99', 'OK'],
    ['INCREX mykey BYINT 5 UBOUND 100 EX 100', [99, 0]],
    ['TTL mykey', -1],
    ['INCREX mykey BYINT 5 UBOUND 100 SATURATE EX 100', [100, 1]],
    ['TTL mykey', 100],
    ['INCREX mykey BYINT -500 LBOUND -7 saturate', [-7, -107]],
    ['INCREX nosuch BYINT 5 UBOUND 4', [0, 0]],
    ['EXISTS nosuch', 0],
    [`SET mykey ${MAX}`, 'OK'],
    ['INCREX mykey', [MAX, 0]],
    ['INCREX mykey SATURATE', [MAX, 0]],
    ['INCREX mykey UBOUND -2 SATURATE', error(/would overflow$/)],
    ['SET mykey 0.5', 'OK'],
    ['INCREX mykey BYFLOAT 3 UBOUND 2.25', ['0.5', '0']],
    ['INCREX mykey BYFLOAT 3 UBOUND 2.25 SATURATE', ['2.25', '1.75']],
    ['INCREX mykey BYFLOAT inf', error(/^ERR value is not a valid float/)],
    ['INCREX mykey LBOUND 2 UBOUND 1', error(/^ERR value is not an integer/)],
    ['INCREX n LBOUND 2 UBOUND 1', error(/^ERR LBOUND must not be greater/)],
    ['INCREX n EX 0', error(/^ERR invalid expire time in 'increx'/)],
    ['INCREX n EX x', error(/^ERR value is not an integer/)],
    ['INCREX n ENX', syntaxError],
    ['INCREX n ENX PERSIST', syntaxError],
    ['INCREX n EX 5 PERSIST', syntaxError],
    ['INCREX n EX 5 PX 5', syntaxError],
    ['INCREX n BYINT 1 BYFLOAT 1', syntaxError],
    ['INCREX n BYINT', syntaxError],
    ['INCREX n zz', syntaxError],
    ['EXISTS n', 0],
  ])('%s', (command, reply) => {
    expect(node.ask(...command.split(' '))).toEqual(reply);
  });

  it('floats are doubles in RESP3', () => {
    node.ask('SET', 'f', '1.5');
    node.ask('HELLO', '3');
    expect(node.askRaw('INCREX', 'f', 'BYFLOAT', '0.25').toString()).toBe(
      '*2\r\n,1.75\r\n,0.25\r\n',
    );
  });
});
