/** Sound from the microphone, as a WAV file. */

const RATE = 16000; // Hz
const HEADER = 44; // bytes

/** Begin to record; the function that is returned ends it and returns the file. */
export async function record() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.start();
  return () => new Promise((resolve, reject) => {
    recorder.addEventListener("stop", async () => {
      stream.getTracks().forEach((track) => track.stop());
      try {
        resolve(await toWav(new Blob(parts)));
      } catch (error) {
        reject(error);
      }
    });
    recorder.stop();
  });
}

/** Convert any recording that the browser can play. */
export async function toWav(blob) {
  const context = new OfflineAudioContext(1, 1, RATE); // decodes at its own rate
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  const mean = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    sound.getChannelData(channel).forEach((sample, place) => (mean[place] += sample / sound.numberOfChannels));
  }
  return new File([encode(mean)], "recording.wav", { type: "audio/wav" });
}

function encode(samples) {
  const view = new DataView(new ArrayBuffer(HEADER + 2 * samples.length));
  const write = (place, text) => [...text].forEach((letter, each) => view.setUint8(place + each, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, HEADER - 8 + 2 * samples.length, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of what follows, up to the data
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channel
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, place) => view.setInt16(HEADER + 2 * place, 32767 * Math.max(-1, Math.min(1, sample)), true));
  return view;
}
