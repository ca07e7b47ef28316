/** Numbers as INCRBYFLOAT of Redis counts with them: the 80-bit floats of x86, 64 bits of mantissa,
 *  read from text and written as text with up to 17 decimals and no exponent.
 *  A number is mantissa x 2^exponent, exactly; every operation rounds to the nearest, ties to even.
 *  Source: https://redis.io/docs/latest/commands/incrbyfloat/ */

const MANTISSA_BITS = 64;
/** Of the last bit of the mantissa: the least, and the greatest of a number that is finite. */
const EXPONENT_MIN = -16_445;
const EXPONENT_MAX = 16_384 - MANTISSA_BITS;
const DECIMALS = 17;
/** Powers of ten beyond are infinite, or nothing. */
const POWER_MAX = 4_940;
const POWER_MIN = -4_990;

export interface LongDouble {
  /** With its sign; as many bits as a mantissa has, at most. */
  readonly mantissa: bigint;
  readonly exponent: number;
}

/** An infinity has its sign alone. */
export type Infinite = 'inf' | '-inf';

const DECIMAL = /^([+-]?)(?:(\d+)\.?(\d*)|\.(\d+))(?:e([+-]?\d+))?$/i;
const HEXADECIMAL = /^([+-]?)0x(?:([0-9a-f]+)\.?([0-9a-f]*)|\.([0-9a-f]+))(?:p([+-]?\d+))?$/i;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;

/** What strtold makes of the whole text; null where that is no number, or none of 80 bits. */
export function parseLongDouble(text: string): LongDouble | Infinite | null {
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return infinite[1] === '-' ? '-inf' : 'inf';
  const hexadecimal = HEXADECIMAL.exec(text);
  const [, sign, whole = '', fraction = '', only = '', power = '0'] =
    hexadecimal ?? DECIMAL.exec(text) ?? [];
  if (sign === undefined) return null;
  const digits = `${whole}${fraction}${only}`.replace(/^0+/, '');
  if (digits === '') return { mantissa: 0n, exponent: 0 };
  const decimals = fraction.length + only.length;
  const parsed =
    hexadecimal === null
      ? ofDecimal(BigInt(digits), digits.length, Number(power) - decimals)
      : ofBinary(BigInt(`0x${digits}`), Number(power) - decimals * 4);
  if (parsed === null || parsed.mantissa === 0n) return null;
  return sign === '-' ? { ...parsed, mantissa: -parsed.mantissa } : parsed;
}

/** digits x 10^power */
function ofDecimal(digits: bigint, count: number, power: number): LongDouble | null {
  if (power + count > POWER_MAX || power + count < POWER_MIN) return null;
  if (power >= 0) return rounded(digits * 10n ** BigInt(power), 0, false);
  const divisor = 10n ** BigInt(-power);
  // Two bits more than the quotient needs: what is left over only says whether it is exact.
  const shift = Math.max(MANTISSA_BITS + 2 + bitsOf(divisor) - bitsOf(digits), 0);
  const dividend = digits << BigInt(shift);
  return rounded(dividend / divisor, -shift, dividend % divisor !== 0n);
}

function ofBinary(digits: bigint, power: number): LongDouble | null {
  if (Math.abs(power) > 2 ** 17) return null;
  return rounded(digits, power, false);
}

/** The sum; null where it is infinite, or no number. */
export function addLongDoubles(
  a: LongDouble | Infinite,
  b: LongDouble | Infinite,
): LongDouble | null {
  if (typeof a === 'string' || typeof b === 'string') return null;
  const exponent = Math.min(a.exponent, b.exponent);
  const sum =
    (a.mantissa << BigInt(a.exponent - exponent)) + (b.mantissa << BigInt(b.exponent - exponent));
  const isBelow = sum < 0n;
  const result = rounded(isBelow ? -sum : sum, exponent, false);
  return isBelow && result !== null ? { ...result, mantissa: -result.mantissa } : result;
}

/** The nearest number to value x 2^exponent, and a bit more than that where `more`; null = infinite. */
function rounded(value: bigint, exponent: number, more: boolean): LongDouble | null {
  const excess = Math.max(bitsOf(value) - MANTISSA_BITS, EXPONENT_MIN - exponent);
  if (excess <= 0) return finite(value, exponent);
  const mantissa = shiftedToNearest(value, excess, more);
  return finite(mantissa, exponent + excess);
}

function finite(mantissa: bigint, exponent: number): LongDouble | null {
  return exponent + bitsOf(mantissa) > EXPONENT_MAX + MANTISSA_BITS ? null : { mantissa, exponent };
}

/** value / 2^bits, to the nearest; ties to even, unless there is `more` behind it. */
function shiftedToNearest(value: bigint, bits: number, more: boolean): bigint {
  const shift = BigInt(bits);
  const quotient = value >> shift;
  const rest = value - (quotient << shift);
  const half = 1n << (shift - 1n);
  const up = rest > half || (rest === half && (more || (quotient & 1n) === 1n));
  return up ? quotient + 1n : quotient;
}

function bitsOf(value: bigint): number {
  if (value === 0n) return 0;
  const digits = value.toString(16);
  return digits.length * 4 - (Math.clz32(Number.parseInt(digits[0], 16)) - 28);
}

/** With as many decimals as it takes, 17 at most. */
export function formatLongDouble({ mantissa, exponent }: LongDouble): string {
  const isBelow = mantissa < 0n;
  const scaled = (isBelow ? -mantissa : mantissa) * 10n ** BigInt(DECIMALS);
  const units =
    exponent >= 0 ? scaled << BigInt(exponent) : shiftedToNearest(scaled, -exponent, false);
  if (units === 0n) return '0';
  const digits = units.toString().padStart(DECIMALS + 1, '0');
  const whole = digits.slice(0, -DECIMALS);
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, '');
  return `${isBelow ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}
