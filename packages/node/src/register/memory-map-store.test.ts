import { mapStoreContract } from './map-store-contract.fixture.ts';
import { MemoryMapStore } from './memory-map-store.ts';

mapStoreContract({
  name: 'memory',
  open: async (first) => {
    const store = new MemoryMapStore(first);
    return {
      stores: [store, store, store],
      settled: (promise) => promise,
      close: async () => undefined,
    };
  },
});
