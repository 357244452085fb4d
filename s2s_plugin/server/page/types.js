/**
 * What the page and its backend exchange. A backend is an object with the methods
 *
 *   about(): Promise<About[]>
 *   explore(Request): Promise<Exploration>
 *   neighbors(model, input): Promise<Neighbor[]>     only if About.neighbors of a model is true
 *   chat(model): Promise<Conversation>               only if About.chat of a model is true
 *
 * backend.js asks the server; a page without one may compute all of this itself.
 *
 * @typedef {object} About
 * @property {string} name
 * @property {string} app such as nmt
 * @property {'text'|'audio'|'video'|'image'} modality of the inputs
 * @property {string} source language; of a signal, the modality
 * @property {string} target language
 * @property {number} parameters
 * @property {number} beam default
 * @property {number} lenpen default
 * @property {number} max_beam
 * @property {boolean} neighbors whether training pairs can be looked up
 * @property {boolean} chat whether it can hold a conversation
 *
 * @typedef {object} Request
 * @property {string} model
 * @property {string} [input] a text, or
 * @property {Blob} [file] a recording, a video or a picture
 * @property {Object<string, number|boolean>} options of the search: beam, lenpen, nbest, sampling, temperature, seed
 * @property {string[]} prefix tokens that every output must begin with
 *
 * @typedef {object} Exploration
 * @property {Output[]} outputs best first
 * @property {Node[][]} lattice of each step of the search, its hypotheses, best first; empty if it kept none
 * @property {Signal|null} signal
 *
 * @typedef {object} Output with T tokens, for S steps of the source
 * @property {string} text
 * @property {number} score length-normalized log-probability, natural logarithm
 * @property {number} confidence geometric mean of the token probabilities
 * @property {string[]} tokens T, the last one is </s>
 * @property {number[]} probabilities T
 * @property {string[]} source_tokens S; empty for a signal
 * @property {number[][]|null} attention T x S
 * @property {Alternative[][]} alternatives T lists, most likely first; empty if the search kept none
 *
 * @typedef {object} Alternative
 * @property {string} token
 * @property {number} probability
 *
 * @typedef {object} Node a hypothesis after a step
 * @property {string} token its last one
 * @property {number|null} parent index in the step before; null in the first one
 * @property {number} score of the hypothesis so far, as of an output
 * @property {number} probability of the token
 * @property {boolean} best whether the best output passes here
 * @property {boolean} ended
 *
 * @typedef {object} Neighbor a training pair
 * @property {string} source
 * @property {string} target
 * @property {number} similarity of the sources, 0 to 1
 *
 * @typedef {object} Signal the input as the model sees it
 * @property {'audio'|'video'|'image'} kind
 * @property {string|Uint8Array} pixels frames x height x width x channels bytes, row by row; as text, in base64.
 *   Of audio a log-mel spectrogram, the highest frequency in row 0
 * @property {number} frames 1 but for video
 * @property {number} height
 * @property {number} width
 * @property {number} channels 1 or 3
 * @property {number} [seconds] of audio and video
 * @property {number} [step_seconds] of audio and video: what each of the S steps covers
 * @property {[number, number]} [grid] of a picture: rows and columns of its S steps
 *
 * @typedef {object} Conversation
 * @property {(turn: string) => Promise<{text: string, confidence: number, sure: boolean}>} say
 * @property {() => void} close
 */
export {};
