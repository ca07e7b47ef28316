import { beforeEach, describe, expect, it } from 'vitest';
import { SingleNode } from './single-node.fixture.ts';

let node: SingleNode;
beforeEach(() => {
  node = new SingleNode();
});

const badName = {
  error: 'ERR Client names cannot contain spaces, newlines or special characters.',
};
const wrongPassword = { error: 'WRONGPASS invalid username-password pair or user is disabled.' };

describe('HELLO', () => {
  it('greets in the protocol that it chose', () => {
    const greeting = node.ask('HELLO', '3') as Map<string, unknown>;
    expect(greeting).toEqual(
      new Map<string, unknown>([
        ['server', 'redis'],
        ['version', '7.2.0'],
        ['proto', 3],
        ['id', 7],
        ['mode', 'standalone'],
        ['role', 'master'],
        ['modules', []],
      ]),
    );
    expect(node.session.protocol).toBe(3);
    expect(node.ask('HELLO', '2')).toEqual(expect.arrayContaining(['proto', 2]));
    expect(node.ask('HELLO')).toEqual(expect.arrayContaining(['proto', 2]));
  });

  it('takes AUTH of the default user and SETNAME', () => {
    node.ask('HELLO', '3', 'AUTH', 'default', 'anything', 'SETNAME', 'web');
    expect([node.session.protocol, node.session.name]).toEqual([3, 'web']);
  });

  it('changes nothing when any part of it is wrong', () => {
    expect(node.ask('HELLO', '4')).toEqual({ error: 'NOPROTO unsupported protocol version' });
    expect(node.ask('HELLO', 'x')).toEqual({
      error: 'ERR Protocol version is not an integer or out of range',
    });
    expect(node.ask('HELLO', '3', 'FOO')).toEqual({
      error: "ERR Syntax error in HELLO option 'FOO'",
    });
    expect(node.ask('HELLO', '3', 'SETNAME')).toEqual({
      error: "ERR Syntax error in HELLO option 'SETNAME'",
    });
    expect(node.ask('HELLO', '3', 'SETNAME', 'a b')).toEqual(badName);
    expect(node.ask('HELLO', '3', 'SETNAME', 'x', 'AUTH', 'bob', 'pw')).toEqual(wrongPassword);
    expect([node.session.protocol, node.session.name]).toEqual([2, '']);
  });

  it('on the cluster port the mode is cluster', () => {
    const cluster = new SingleNode({ listener: 'cluster' });
    expect(cluster.ask('HELLO')).toEqual(expect.arrayContaining(['mode', 'cluster']));
  });
});

describe('small talk', () => {
  it('PING answers PONG or its argument, ECHO its argument, bytes as they are', () => {
    expect(node.ask('PING')).toBe('PONG');
    expect(node.ask('ping', Buffer.from([0, 255]))).toBe('\x00\xff');
    expect(node.ask('ECHO', '')).toBe('');
    expect(node.ask('PING', 'a', 'b')).toEqual({
      error: "ERR wrong number of arguments for 'ping' command",
    });
  });

  it('AUTH is answered as by a server without passwords', () => {
    expect(node.ask('AUTH', 'pw')).toEqual({
      error: expect.stringMatching(/^ERR AUTH <password>/),
    });
    expect(node.ask('AUTH', 'default', 'pw')).toBe('OK');
    expect(node.ask('AUTH', 'bob', 'pw')).toEqual(wrongPassword);
    expect(node.ask('AUTH', 'a', 'b', 'c')).toEqual({ error: 'ERR syntax error' });
  });

  it('AUTH and HELLO take the password of the node, for the default user alone', () => {
    const closed = new SingleNode({ password: 'a password' });
    expect(closed.ask('HELLO', '3')).toEqual({
      error: expect.stringMatching(/^NOAUTH HELLO must/),
    });
    expect(closed.ask('AUTH', 'a passwore')).toEqual(wrongPassword);
    expect(closed.ask('AUTH', 'bob', 'a password')).toEqual(wrongPassword);
    expect(closed.ask('HELLO', '3', 'AUTH', 'default', 'no')).toEqual(wrongPassword);
    expect([closed.session.authenticated, closed.session.protocol]).toEqual([false, 2]);
    expect(closed.ask('AUTH', 'a password')).toBe('OK');
    expect(closed.session.authenticated).toBe(true);
    closed.session.authenticated = false;
    closed.ask('HELLO', '3', 'AUTH', 'default', 'a password');
    expect([closed.session.authenticated, closed.session.protocol]).toEqual([true, 3]);
  });

  it('SELECT knows database 0', () => {
    expect(node.ask('SELECT', '0')).toBe('OK');
    expect(node.ask('SELECT', '1')).toEqual({ error: 'ERR DB index is out of range' });
    expect(node.ask('SELECT', 'x')).toEqual({
      error: 'ERR value is not an integer or out of range',
    });
  });

  it('QUIT says OK and closes', () => {
    expect(node.ask('QUIT')).toBe('OK');
    expect(node.session.closing).toBe(true);
  });

  it('READONLY, READWRITE and ASKING switch the session', () => {
    expect([node.ask('READONLY'), node.session.readOnly]).toEqual(['OK', true]);
    expect([node.ask('READWRITE'), node.session.readOnly]).toEqual(['OK', false]);
    expect([node.ask('ASKING'), node.session.asking]).toEqual(['OK', true]);
  });
});

describe('CLIENT', () => {
  it('names, ids and library names', () => {
    expect(node.ask('CLIENT', 'ID')).toBe(7);
    expect(node.ask('CLIENT', 'GETNAME')).toBeNull();
    expect(node.ask('CLIENT', 'SETNAME', 'web-1')).toBe('OK');
    expect(node.ask('client', 'getname')).toBe('web-1');
    expect(node.ask('CLIENT', 'SETNAME', 'a b')).toEqual(badName);
    expect(node.ask('CLIENT', 'SETINFO', 'lib-name', 'ioredis')).toBe('OK');
    expect(node.ask('CLIENT', 'SETINFO', 'LIB-VER', '6.0.0')).toBe('OK');
    expect(node.ask('CLIENT', 'SETINFO', 'lib-ver', 'a b')).toEqual({
      error: 'ERR lib-ver cannot contain spaces, newlines or special characters.',
    });
    expect(node.ask('CLIENT', 'SETINFO', 'lib', 'x')).toEqual({
      error: "ERR Unrecognized option 'lib'",
    });
    expect(node.ask('CLIENT', 'INFO')).toBe(
      'id=7 addr=127.0.0.1:50000 laddr=127.0.0.1:7401 fd=-1 name=web-1 age=0 idle=0 flags=N db=0 ' +
        'sub=0 psub=0 ssub=0 multi=-1 watch=0 qbuf=0 qbuf-free=0 multi-mem=0 obl=0 oll=0 omem=0 ' +
        'tot-mem=0 events=r cmd= user=default redir=-1 resp=2 lib-name=ioredis lib-ver=6.0.0\n',
    );
  });

  it('LIST answers a line per connection, filtered by type and id', async () => {
    const line = expect.stringMatching(/^id=7 .*\n$/);
    expect(await node.askLate('CLIENT', 'LIST')).toEqual(line);
    expect(await node.askLate('CLIENT', 'LIST', 'TYPE', 'normal')).toEqual(line);
    expect(await node.askLate('CLIENT', 'LIST', 'TYPE', 'pubsub')).toBe('');
    expect(await node.askLate('CLIENT', 'LIST', 'ID', '3', '7')).toEqual(line);
    expect(await node.askLate('CLIENT', 'LIST', 'ID', '77')).toBe('');
    expect(node.ask('CLIENT', 'LIST', 'ID', '0')).toEqual({ error: 'ERR Invalid client ID' });
    expect(node.ask('CLIENT', 'LIST', 'TYPE', 'x')).toEqual({
      error: "ERR Unknown client type 'x'",
    });
    expect(node.ask('CLIENT', 'LIST', 'x')).toEqual({ error: 'ERR syntax error' });
  });

  it('KILL asks every worker for what matches, and counts', async () => {
    expect(await node.askLate('CLIENT', 'KILL', 'ID', '5', 'TYPE', 'normal', 'SKIPME', 'no')).toBe(
      1,
    );
    expect(await node.askLate('CLIENT', 'KILL', '1.2.3.4:5')).toBe('OK');
    expect(node.asked).toEqual([
      { id: 5, type: 'normal', askerId: 7, sparesAsker: false },
      { address: '1.2.3.4:5', askerId: 7, sparesAsker: false },
    ]);
    const refused = (...words: string[]): unknown => node.ask('CLIENT', 'KILL', ...words);
    expect(refused('ID', 'x')).toEqual({ error: 'ERR client-id should be greater than 0' });
    expect(refused('TYPE', 'x')).toEqual({ error: "ERR Unknown client type 'x'" });
    expect(refused('USER', 'bob')).toEqual({ error: "ERR No such user 'bob'" });
    expect(refused('ID', '1', 'ADDR')).toEqual({ error: 'ERR syntax error' });
  });

  it('PAUSE takes a time and a mode', async () => {
    expect(await node.askLate('CLIENT', 'PAUSE', '100', 'write')).toBe('OK');
    expect(await node.askLate('CLIENT', 'UNPAUSE')).toBe('OK');
    expect(node.asked).toEqual([
      { mode: 'write', ms: 100 },
      { mode: 'none', ms: 0 },
    ]);
    expect(node.ask('CLIENT', 'PAUSE', '-1')).toEqual({ error: 'ERR timeout is negative' });
    expect(node.ask('CLIENT', 'PAUSE', '1', 'x')).toEqual({
      error: 'ERR CLIENT PAUSE mode must be WRITE or ALL',
    });
  });

  it('NO-EVICT and NO-TOUCH are ON or OFF', () => {
    expect(node.ask('CLIENT', 'NO-EVICT', 'on')).toBe('OK');
    expect(node.ask('CLIENT', 'NO-TOUCH', 'OFF')).toBe('OK');
    expect(node.ask('CLIENT', 'NO-TOUCH', 'maybe')).toEqual({ error: 'ERR syntax error' });
  });

  it('unknown subcommands and wrong arities have the texts of Redis', () => {
    expect(node.ask('CLIENT', 'nosuch', 'x')).toEqual({
      error: "ERR unknown subcommand 'nosuch'. Try CLIENT HELP.",
    });
    expect(node.ask('CLIENT', 'setname')).toEqual({
      error: "ERR wrong number of arguments for 'client|setname' command",
    });
    expect(node.ask('CLIENT')).toEqual({
      error: "ERR wrong number of arguments for 'client' command",
    });
    expect(node.ask('CLIENT', 'HELP')).toEqual(expect.arrayContaining(['GETNAME', 'HELP']));
  });
});
