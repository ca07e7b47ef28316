/** MessagePack through msgpackr with its record extension: field names are sent once a message,
 *  each record is then an id and its values. */
import { Packr } from 'msgpackr';
import { type Quote, quotes, sumQuotes } from '../quote.ts';
import { type Codec, Landing } from './codec.ts';

export const msgpack: Codec = {
  name: 'msgpack',
  shape: 'array of objects as msgpackr records; Packr.pack, Packr.unpack',
  encoder: (count) => {
    const batch = quotes(count);
    const packr = new Packr({ useRecords: true });
    return {
      number: (message) => {
        batch[0].flags = message;
      },
      encode: () => [packr.pack(batch)],
    };
  },
  decoder: () => {
    const landing = new Landing();
    const packr = new Packr({ useRecords: true });
    return {
      target: (filled, payloadBytes) => landing.target(filled, payloadBytes),
      sum: (payloadBytes) => sumQuotes(packr.unpack(landing.payload(payloadBytes)) as Quote[]),
    };
  },
};
