"""Run by vLLM's own Python: checks which texts xgrammar accepts under structural tags. JSON lines in, JSON lines out."""

import json
import sys

import xgrammar

VOCABULARY = [bytes([byte]) for byte in range(256)] + [b"</s>"]


def main() -> None:
    tokens = xgrammar.TokenizerInfo(VOCABULARY, xgrammar.VocabType.RAW, vocab_size=len(VOCABULARY), stop_token_ids=[256])
    compiler = xgrammar.GrammarCompiler(tokens, max_threads=1)
    for line in sys.stdin:
        tag, texts = json.loads(line)
        try:
            compiled = compiler.compile_structural_tag(json.dumps(tag))
        except Exception as error:
            answer: object = str(error)
        else:
            answer = [accepts(xgrammar.GrammarMatcher(compiled), text) for text in texts]
        sys.stdout.write(json.dumps(answer) + "\n")


def accepts(matcher: xgrammar.GrammarMatcher, text: str) -> bool:
    """Whether the text is allowed and may end there."""
    return all(matcher.accept_token(byte) for byte in text.encode()) and matcher.accept_token(256)


main()
