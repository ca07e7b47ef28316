/** JSON: an array of objects, as every interface on the web would have it. */
import { type Quote, quotes, sumQuotes } from '../quote.ts';
import { type Codec, Landing } from './codec.ts';

export const json: Codec = {
  name: 'JSON',
  shape: 'array of objects; JSON.stringify, JSON.parse',
  encoder: (count) => {
    const batch = quotes(count);
    return {
      number: (message) => {
        batch[0].flags = message;
      },
      encode: () => [Buffer.from(JSON.stringify(batch))],
    };
  },
  decoder: () => {
    const landing = new Landing();
    return {
      target: (filled, payloadBytes) => landing.target(filled, payloadBytes),
      sum: (payloadBytes) =>
        sumQuotes(JSON.parse(landing.payload(payloadBytes).toString()) as Quote[]),
    };
  },
};
