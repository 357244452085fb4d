/** Memory of the model's numbers, and the kernel that works in it: WebAssembly, or plain JavaScript where there is none. */

import { plainKernel } from "./kernel.js";

const PAGE = 65536;
const ALIGNMENT = 16;

/** Places are byte offsets. What is allocated after `mark()` goes with `release(mark)`; growth replaces the views. */
export class Heap {
  /** @param {Uint8Array | null} binary kernel.wasm; null: do without it */
  constructor(binary) {
    this.end = ALIGNMENT; // place 0 stands for nothing
    this.memory = null;
    const compiled = binary && compile(binary);
    if (compiled) {
      this.memory = new WebAssembly.Memory({ initial: 16 });
      this.kernel = new WebAssembly.Instance(compiled, { env: { memory: this.memory } }).exports;
      this.end = PAGE; // the kernel's own stack
    } else {
      this.buffer = new ArrayBuffer(16 * PAGE);
      this.kernel = plainKernel(this);
    }
    this.#view();
  }

  /** @returns {number} the place of new memory, whose content is arbitrary */
  alloc(bytes) {
    const place = this.end;
    this.end = Math.ceil((place + bytes) / ALIGNMENT) * ALIGNMENT;
    if (this.end > this.i8.length) this.#grow();
    return place;
  }

  /** @returns {number} the place of this many 32-bit numbers, all zero */
  zeros(count) {
    const place = this.alloc(4 * count);
    this.f32.fill(0, place / 4, place / 4 + count);
    return place;
  }

  /** @returns {number} the place of a copy of an array */
  store(array) {
    const place = this.alloc(array.byteLength);
    this.u8.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), place);
    return place;
  }

  mark() {
    return this.end;
  }

  release(mark) {
    this.end = mark;
  }

  /** @returns {Float32Array} a view that lasts until the next allocation */
  floats(place, count) {
    return this.f32.subarray(place / 4, place / 4 + count);
  }

  /** Copy 32-bit numbers. */
  copy(from, to, count) {
    this.f32.copyWithin(to / 4, from / 4, from / 4 + count);
  }

  #grow() {
    const bytes = Math.ceil((this.end * 1.25) / PAGE) * PAGE;
    if (this.memory) {
      this.memory.grow((bytes - this.i8.length) / PAGE);
    } else {
      const larger = new ArrayBuffer(bytes);
      new Uint8Array(larger).set(this.u8);
      this.buffer = larger;
    }
    this.#view();
  }

  #view() {
    const buffer = this.memory ? this.memory.buffer : this.buffer;
    this.i8 = new Int8Array(buffer);
    this.u8 = new Uint8Array(buffer);
    this.i16 = new Int16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.f32 = new Float32Array(buffer);
  }
}

function compile(binary) {
  try {
    return new WebAssembly.Module(binary);
  } catch {
    return null; // no WebAssembly here, or none with vectors
  }
}
