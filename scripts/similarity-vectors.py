#!/usr/bin/env python3
"""Writes crates/evaluation/tests/vectors/similarity.json: what reference implementations say of pairs of texts.

    python3 -m venv venv && venv/bin/pip install rouge-score==0.1.2 sacrebleu==2.6.0 rapidfuzz==3.14.6 jellyfish==1.3.0
    venv/bin/python scripts/similarity-vectors.py

The file is the same at every run with these versions. `tests/vector.rs` compares the metrics with it to 1e-6.

Levenshtein and Jaro-Winkler are those of rapidfuzz, which compares code points. jellyfish compares grapheme clusters, and says 0
of two empty texts for Jaro-Winkler; where neither matters, both have to agree, or nothing is written.
"""

import importlib.metadata
import json
import pathlib
import random
import unicodedata

import jellyfish
import sacrebleu
from rapidfuzz.distance import JaroWinkler, Levenshtein
from rouge_score.rouge_scorer import RougeScorer

TARGET = pathlib.Path(__file__).parent.parent / "crates/evaluation/tests/vectors/similarity.json"
ROUGE = ["rouge1", "rouge2", "rouge3", "rouge4", "rouge9", "rougeL"]

# (output, references)
PAIRS = [
    # Nothing, and next to nothing.
    ("", [""]),
    ("", ["a"]),
    ("a", [""]),
    (" ", [" \n\t"]),
    ("a", ["a"]),
    ("a", ["b"]),
    ("a", ["A"]),
    (".", ["."]),
    ("...", ["!?"]),
    ("a b", ["b a"]),
    ("", ["", "a"]),
    # Words.
    ("the cat sat on the mat", ["the cat sat on the mat"]),
    ("the cat sat on the mat", ["the cat is on the mat"]),
    ("the cat sat on the mat", ["a dog lay under a table"]),
    ("on the mat sat the cat", ["the cat sat on the mat"]),
    ("cat", ["the cat sat on the mat"]),
    ("the cat sat on the mat and then it went to sleep", ["the cat sat"]),
    ("the cat", ["the cat sat on the mat, and the dog under it"]),
    ("one two three four", ["one two three five"]),
    ("one two three", ["one two three"]),
    ("one two", ["two three"]),
    ("one two three four five six seven eight nine ten", ["one two three four five six seven eight nine"]),
    # Repeated words.
    ("the the the the the the the", ["the cat is on the mat"]),
    ("a a a a", ["a a"]),
    ("a a", ["a a a a"]),
    ("a b a b a b", ["b a b a b a"]),
    ("no no no, yes", ["no, yes yes yes"]),
    ("ab ab ab ab ab", ["ab"]),
    # Upper and lower case.
    ("The Cat SAT", ["the cat sat"]),
    ("PARIS", ["Paris"]),
    # Signs, numbers, entities.
    ("Returns are possible within 30 days.", ["You can return it within 30 days!"]),
    ("It costs $1,299.99, tax included.", ["It costs $1,299.99 (tax included)."]),
    ("1,2,3.4.5", ["1, 2, 3.4, 5"]),
    ("a,b.c", ["a , b . c"]),
    (".5 and 5. and 5.5", ["0.5 and 5 and 5.5"]),
    ("well-known 30-day trial - now", ["well known 30 - day trial now"]),
    ("10-20-30", ["10 - 20 - 30"]),
    ("isn't it o'clock?", ["is n't it o 'clock ?"]),
    ("R&D &amp; Q&A &quot;x&quot; &lt;y&gt; &apos;", ["R & D & Q & A \" x \" < y > '"]),
    ("&amp;lt; is not &lt;", ["< is not &lt;"]),
    ("<skipped>hello-\nworld\nagain", ["helloworld again"]),
    ("say \"hi\" (twice) [now] {then} | or / else \\ end", ["say hi twice now then or else end"]),
    ("a@b.com #tag 50% x^2 y_z `code` ~3", ["a@b.com #tag 50 % x ^ 2 y_z code 3"]),
    ("Wait... what?!", ["Wait. What?"]),
    ("..,,..", [",,.,."]),
    ("3.14.", ["3.14"]),
    ("a.,b", ["a ., b"]),
    # Beyond ASCII.
    ("Grüße aus Köln", ["Grusse aus Koln"]),
    ("Grüße aus Köln", ["Grüße aus Köln"]),
    ("STRASSE", ["Straße"]),
    ("İstanbul", ["istanbul"]),
    ("Kelvin \u212a", ["kelvin k"]),
    ("naïve café", ["naive cafe"]),
    ("cafe\u0301 au lait", ["café au lait"]),
    ("日本語のテキスト", ["日本語の文章"]),
    ("Привет, мир! 1", ["Привет, мир 1"]),
    ("مرحبا بالعالم", ["مرحبا العالم"]),
    ("👍🏽 good", ["👍 good"]),
    ("👩‍👩‍👧 family", ["👨‍👩‍👧 family"]),
    ("non\u00a0breaking\u2003spaces\u3000here", ["non breaking spaces here"]),
    ("unit\x1cseparated\x1ftext", ["unit separated text"]),
    ("ΟΔΟΣ x", ["οδος x"]),
    ("“quoted” – dashed — and … more", ["\"quoted\" - dashed - and ... more"]),
    # Names.
    ("MARTHA", ["MARHTA"]),
    ("DIXON", ["DICKSONX"]),
    ("DWAYNE", ["DUANE"]),
    ("JELLYFISH", ["SMELLYFISH"]),
    ("Jon Smith", ["Jonathan Smith"]),
    ("abcdefgh", ["abcdxxxx"]),
    ("abcd", ["dcba"]),
    ("kitten", ["sitting"]),
    ("aaaaaaaaaa", ["a"]),
    ("prefix_a", ["prefix_b"]),
    ("xyz", ["abcxyz"]),
    # White space.
    ("  leading and trailing  \n", ["leading and trailing"]),
    ("tabs\tand\nlines\r\nhere", ["tabs and lines here"]),
    # Several references.
    ("the cat sat on the mat", ["a cat sat on a mat", "the cat is sitting on the mat", "there is a cat"]),
    ("it is a guide to action", ["it is a guide to action that ensures", "it is the guiding principle", "a guide"]),
    ("a b c d e", ["a b c", "a b c d e f g"]),
    ("the the the", ["the cat the", "the the dog"]),
    ("x", ["y", "z", "x y z"]),
]


def long_pairs():
    """Long texts of few words, so that n-grams meet; always the same ones."""
    chance = random.Random(1)
    words = "return item refund days receipt order the a of within is not may be, and. 30 50 Customer's shop-owner".split()
    for size, changed in [(40, 0.1), (120, 0.3), (300, 0.05), (600, 0.5)]:
        output = [chance.choice(words) for _ in range(size)]
        reference = [chance.choice(words) if chance.random() < changed else word for word in output]
        del reference[size // 3 : size // 3 + size // 10]
        yield " ".join(output), [" ".join(reference)]
    letters = "abcdeäöü 日"
    for size in (60, 400):
        output = "".join(chance.choice(letters) for _ in range(size))
        reference = "".join(chance.choice(letters) if chance.random() < 0.2 else letter for letter in output)
        yield output, [reference]


def is_plain(text):
    """Whether code points and grapheme clusters are the same."""
    return all(unicodedata.category(letter) not in ("Mn", "Me", "Cf", "Sk") for letter in text) and "\r\n" not in text


def check_with_jellyfish(output, reference):
    if not (output and reference and is_plain(output) and is_plain(reference)):
        return
    longer = max(len(output), len(reference))
    levenshtein = 1 - jellyfish.levenshtein_distance(output, reference) / longer
    assert abs(levenshtein - Levenshtein.normalized_similarity(output, reference)) < 1e-9, (output, reference)
    jaro_winkler = jellyfish.jaro_winkler_similarity(output, reference)
    assert abs(jaro_winkler - JaroWinkler.similarity(output, reference)) < 1e-9, (output, reference)


def vector(scorer, output, references):
    for reference in references:
        check_with_jellyfish(output, reference)
    rouge = [scorer.score(reference, output) for reference in references]
    scores = {name: max(score[name].fmeasure for score in rouge) for name in ROUGE}
    scores["bleu"] = sacrebleu.sentence_bleu(output, references).score / 100
    scores["normalized-levenshtein"] = max(Levenshtein.normalized_similarity(output, one) for one in references)
    scores["jaro-winkler"] = max(JaroWinkler.similarity(output, one) for one in references)
    return {"output": output, "references": references, "scores": {name: round(s, 9) for name, s in scores.items()}}


def main():
    scorer = RougeScorer(ROUGE, use_stemmer=False)
    pairs = PAIRS + list(long_pairs())
    document = {
        "made_by": "scripts/similarity-vectors.py",
        "with": {name: importlib.metadata.version(name) for name in ["rouge-score", "sacrebleu", "rapidfuzz"]},
        "pairs": [vector(scorer, output, references) for output, references in pairs],
    }
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(document, ensure_ascii=True, indent=1) + "\n")
    print(f"{len(pairs)} pairs in {TARGET}")


if __name__ == "__main__":
    main()
