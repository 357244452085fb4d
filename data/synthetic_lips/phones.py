"""Phones and their times by espeak-ng, through ctypes (its own program prints none for these voices).

espeak-ng's rounding depends on earlier calls: equal times require a new process and the same order.
"""

from __future__ import annotations

import ctypes

import espeakng_loader

# speak_lib.h
SYNCHRONOUS, PHONEME_EVENTS, AS_IPA = 2, 1, 2  # espeak_AUDIO_OUTPUT, espeakINITIALIZE_*
UTF8, PHONEME_INPUT = 1, 0x100  # espeakCHARS_UTF8, espeakPHONEMES: [[eI]] in a text means phonemes
RATE = 1  # espeakRATE
END_OF_LIST, WORD, PHONEME = 0, 1, 7  # espeak_EVENT_TYPE

STRESS_AND_LENGTH = "ˈˌː"

Phones = list[tuple[float, str]]  # start in seconds, IPA; "" is silence


class EventId(ctypes.Union):
    """``espeak_EVENT.id``."""

    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class Event(ctypes.Structure):
    """``espeak_EVENT``."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", EventId),
    ]


Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class Voice:
    """espeak-ng's English voice, used for timing only; one per process."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        if self.library.espeak_Initialize(SYNCHRONOUS, 0, data, PHONEME_EVENTS | AS_IPA) < 0:
            raise RuntimeError(f"espeak-ng does not start with {data.decode()}")
        self.events: list[tuple[int, float, str]] = []  # type, second, IPA
        self.callback = Callback(self._collect)  # kept: espeak-ng has only a pointer to it
        self.library.espeak_SetSynthCallback(self.callback)
        self.library.espeak_SetVoiceByName(b"en")

    def _collect(self, wav, samples: int, events) -> int:
        index = 0
        while (event := events[index]).type != END_OF_LIST:
            name = event.id.string.decode() if event.type == PHONEME else ""
            self.events.append((event.type, event.audio_position / 1000, name))
            index += 1
        return 0

    def phones(self, text: str, words_per_minute: int) -> Phones:
        """Return the phones of ``text``, ending with silence.

        The first phone of a word starts with the word, so that a stop includes its closure.
        """
        self.events.clear()
        self.library.espeak_SetParameter(RATE, words_per_minute, 0)
        encoded = text.encode()
        self.library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, UTF8 | PHONEME_INPUT, None, None)
        self.library.espeak_Synchronize()
        phones: Phones = []
        word_start: float | None = None
        for kind, second, name in self.events:
            if kind == WORD:
                word_start = second
            elif kind == PHONEME:
                phones.append((second if word_start is None else word_start, name.strip(STRESS_AND_LENGTH)))
                word_start = None
        return phones
