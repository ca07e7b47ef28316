/** freeSlots: free_slots, as fields of INFO and labels of metrics are written. */
export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
