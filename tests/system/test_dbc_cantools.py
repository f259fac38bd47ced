"""Our DBC decoder and encoder against cantools from PyPI: the module database, generated files for every row
of section 11.4 of the battery safety facts, and random payloads. Raw values exact, physical within 1e-12."""
import json
import math
import random
import subprocess

import pytest

from processes import BIN, ROOT

try:
    import cantools
except ImportError:
    cantools = None

MODULE_DBC = ROOT / "drivers/battery-module/battery-module.dbc"
RANDOM_PAYLOADS = 1000


@pytest.fixture(autouse=True)
def needs_cantools():
    # Loud: a decoder that nobody else has checked is not checked.
    assert cantools is not None, "cantools is missing from build/tools/venv: run scripts/setup test"


def ctl(*arguments, text=None):
    return subprocess.run([BIN / "canhubctl", "dbc", *arguments], input=text, capture_output=True, text=True,
                          timeout=150)


def load(path):
    return cantools.database.load_file(path, encoding="cp1252")


def payloads(message, rng, count):
    """All 0, all 1, a walking bit, and random ones."""
    size = message.length
    yield bytes(size)
    yield b"\xff" * size
    for bit in range(8 * size):
        yield (1 << bit).to_bytes(size, "little")
    for _ in range(count):
        yield rng.randbytes(size)


def frame_line(message, data):
    width = 8 if message.is_extended_frame else 3
    return f"(1.000000) can0 {message.frame_id:0{width}X}#{data.hex().upper()}"


def expected(message, data):
    """Raw and physical of every signal that is there; None where cantools raises for an unknown page."""
    try:
        return (message.decode(data, decode_choices=False, scaling=False),
                message.decode(data, decode_choices=False, scaling=True))
    except cantools.database.errors.DecodeError:
        return None


def same_physical(ours, theirs):
    if isinstance(theirs, float) and not math.isfinite(theirs):
        return ours is None
    return ours == theirs or math.isclose(ours, theirs, rel_tol=1e-12, abs_tol=0)


def raw_of(signal, value):
    """A raw value as our JSON has it: floats as their pattern."""
    if not signal.is_float:
        return value
    import struct
    form = {16: ("<e", "<H"), 32: ("<f", "<I"), 64: ("<d", "<Q")}[signal.length]
    return struct.unpack(form[1], struct.pack(form[0], value))[0]


def compare(path, count, seed=1):
    """Decodes the same frames with both; returns how many signals were compared."""
    database = load(path)
    rng = random.Random(seed)
    frames = [(message, data) for message in database.messages if 0 < message.length <= 8
              for data in payloads(message, rng, count)]
    done = ctl("decode", path, "--json", text="\n".join(frame_line(m, d) for m, d in frames) + "\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(frames)
    compared = 0
    for (message, data), line in zip(frames, lines):
        ours = json.loads(line)
        assert ours["message"] == message.name
        theirs = expected(message, data)
        if theirs is None:
            # The recommended difference: the common signals and "unknown page" instead of an error.
            assert "unknown_page_of" in ours, (message.name, data.hex())
            continue
        raw, physical = theirs
        assert set(ours["signals"]) == set(raw), (message.name, data.hex())
        for name, value in raw.items():
            signal = message.get_signal_by_name(name)
            found = ours["signals"][name]
            where = (message.name, name, data.hex(), found)
            if not (signal.is_float and math.isnan(value)):
                assert found["raw"] == raw_of(signal, value), (where, value)
            assert same_physical(found.get("value"), physical[name]), (where, physical[name])
            if signal.choices and value in signal.choices:
                assert found["name"] == str(signal.choices[value]), where
            compared += 1
    return compared


def test_the_module_database_loads_without_a_warning():
    done = ctl("check", MODULE_DBC, "--json")
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)
    theirs = load(MODULE_DBC)
    assert ours["warnings"] == []
    assert [(m["name"], int(m["id"], 16), m["extended"], m["length"], m["cycle_ms"]) for m in ours["messages"]] == [
        (m.name, m.frame_id, m.is_extended_frame, m.length, m.cycle_time or 0) for m in theirs.messages]
    assert len(ours["messages"]) == 183 and sum(len(m["signals"]) for m in ours["messages"]) == 1531


def test_the_module_database_decodes_the_same():
    assert compare(MODULE_DBC, 50) > 100_000


def test_one_module_with_many_payloads(tmp_path):
    """Every layout of the module database, a thousand random payloads each."""
    text = MODULE_DBC.read_text()
    path = tmp_path / "one.dbc"
    keep = []
    skipping = False
    for line in text.splitlines():
        if line.startswith("BO_ "):
            skipping = line.split()[2].startswith("BMU") and not line.split()[2].startswith("BMU01")
        elif not line.startswith(" SG_"):
            skipping = False
        if not skipping:
            keep.append(line)
    path.write_text("\n".join(keep) + "\n")
    assert compare(path, RANDOM_PAYLOADS) > 50_000


def test_random_layouts_decode_the_same(tmp_path):
    """Both orders, all lengths, signs, floats, scales."""
    rng = random.Random(7)
    lines = ['VERSION ""', "BU_: N"]
    types = []
    for number in range(150):
        lines.append(f"BO_ {number + 1} M{number}: 8 N")
        length = rng.choice([1, 2, 3, 7, 8, 9, 12, 16, 17, 24, 31, 32, 33, 48, 63, 64])
        order = rng.choice([0, 1])
        linear = rng.randrange(0, 64 - length + 1)
        start = linear if order else 8 * (linear // 8) + 7 - linear % 8
        sign = rng.choice("+-")
        if length in (16, 32, 64) and rng.random() < 0.4:
            types.append(f"SIG_VALTYPE_ {number + 1} S : {2 if length == 64 else 1};")
            sign = "-"
        factor = rng.choice(["1", "2", "-3", "0.1", "0.01", "1E-005", "0.5", "1000"])
        offset = rng.choice(["0", "-40", "2.2", "7", "1e3"])
        lines.append(f' SG_ S : {start}|{length}@{order}{sign} ({factor},{offset}) [0|0] "u" N')
    path = tmp_path / "layouts.dbc"
    path.write_text("\n".join(lines + types) + "\n")
    assert compare(path, 60) > 150 * 120


MULTIPLEXED = """VERSION ""
BU_: N
BO_ 1 Simple: 8 N
 SG_ P M : 0|8@1+ (1,0) [0|0] "" N
 SG_ A m0 : 8|8@1+ (1,0) [0|0] "" N
 SG_ B m1 : 15|16@0- (0.5,1) [0|0] "" N
 SG_ C : 56|8@1+ (1,0) [0|0] "" N
BO_ 2 Ranges: 8 N
 SG_ P M : 0|4@1+ (1,0) [0|0] "" N
 SG_ A m0 : 8|8@1+ (1,0) [0|0] "" N
 SG_ B m3 : 8|16@1+ (1,0) [0|0] "" N
BO_ 3 Nested: 8 N
 SG_ P M : 0|2@1+ (1,0) [0|0] "" N
 SG_ Q m1M : 2|2@1+ (1,0) [0|0] "" N
 SG_ A m0 : 8|8@1+ (1,0) [0|0] "" N
 SG_ B m0 : 16|8@1+ (1,0) [0|0] "" N
 SG_ D m2 : 24|8@1+ (1,0) [0|0] "" N
BO_ 4 Flat: 8 N
 SG_ P M : 0|4@1+ (1,0) [0|0] "" N
 SG_ Q M : 4|4@1+ (1,0) [0|0] "" N
 SG_ A m1 : 8|8@1+ (1,0) [0|0] "" N
BO_ 5 Named: 8 N
 SG_ P M : 0|2@1+ (1,0) [0|0] "" N
 SG_ A m1 : 8|8@1+ (1,0) [0|0] "" N
BO_ 6 NoSelector: 8 N
 SG_ A m1 : 8|8@1+ (1,0) [0|0] "" N
BO_ 2147483649 Extended: 2 N
 SG_ A : 0|16@1- (1,0) [0|0] "" N
VAL_ 5 P 0 "zero" 2 "two" 3 "three" ;
SG_MUL_VAL_ 2 A P 0-1, 5-6;
SG_MUL_VAL_ 3 Q P 1-1;
SG_MUL_VAL_ 3 A P 0-0;
SG_MUL_VAL_ 3 B Q 0-0;
SG_MUL_VAL_ 3 D Q 2-3;
"""


def test_multiplexing_decodes_the_same(tmp_path):
    path = tmp_path / "multiplexed.dbc"
    path.write_text(MULTIPLEXED)
    assert compare(path, RANDOM_PAYLOADS) > 8_000


SIGNAL = 'BO_ 1 M: 8 N\n SG_ S : {} [0|0] "" N\n'
# Files that both refuse, by the row of section 11.4.
REFUSED = {
    "beyond the message": SIGNAL.format("60|8@1+ (1,0)"),
    "without bits": SIGNAL.format("0|0@1+ (1,0)"),
    "standard identifier above 0x7FF": "BO_ 2048 M: 8 N\n",
    "extended identifier above 29 bits": "BO_ 3758096384 M: 8 N\n",
    "hexadecimal factor": SIGNAL.format("0|8@1+ (0x10,0)"),
    "attribute that is not defined": 'BO_ 1 M: 8 N\nBA_ "X" BO_ 1 5;\n',
    "name with a dash": "BO_ 1 M-1: 8 N\n",
    "statement cut off": "BO_ 1 M",
}
# Files that both load, with the same messages and signals.
LOADED = {
    "order digit 2": SIGNAL.format("0|8@2+ (1,0)"),
    "number with a point at its end": SIGNAL.format("0|8@1+ (1.,0)"),
    "exponent with zeros": SIGNAL.format("0|8@1+ (1E-005,0)"),
    "comments, carriage returns, blank lines": '// a\r\nBO_ 1 M: 8 N\r\n SG_ S : 0|8@1+ (1,0) [0|0] "" N\r\n\r\n',
    "editor's dump": 'BO_ 3221225472 VECTOR__INDEPENDENT_SIG_MSG: 0 Vector__XXX\n'
                     ' SG_ X : 0|8@1+ (1,0) [0|0] "" Vector__XXX\nBO_ 1 M: 8 N\n',
    "value names of nobody": 'BO_ 1 M: 8 N\nVAL_ 9 X 0 "a" ;\nCM_ BO_ 9 "b";\n',
    "standard and extended of one number": "BO_ 1 A: 8 N\nBO_ 2147483649 B: 8 N\n",
    "signed single bit": SIGNAL.format("0|1@1- (1,0)"),
    "long names": SIGNAL.format("0|8@1+ (1,0)") + 'BA_DEF_ SG_ "SystemSignalLongSymbol" STRING ;\n'
                  'BA_DEF_DEF_ "SystemSignalLongSymbol" "";\n'
                  'BA_ "SystemSignalLongSymbol" SG_ 1 S "ThisIsALongNameOfASignalBeyondThirtyTwo";\n',
}
# Where section 11.4's last paragraph wants us to be milder: cantools refuses, we load.
MILDER = {
    "missing receiver": 'BO_ 1 M: 8 N\n SG_ S : 0|8@1+ (1,0) [0|0] ""\nBO_ 2 X: 8 N\n',
    "receivers with spaces": 'BO_ 1 M: 8 N\n SG_ S : 0|8@1+ (1,0) [0|0] "" A B\n',
    "factor without a leading digit": SIGNAL.format("0|8@1+ (.5,0)"),
    "unknown statement": "FANCY_ 1 2;\nBO_ 1 M: 8 N\n",
    "overlap": 'BO_ 1 M: 8 N\n SG_ A : 0|8@1+ (1,0) [0|0] "" N\n SG_ B : 4|8@1+ (1,0) [0|0] "" N\n',
    "byte order mark": "\ufeffBO_ 1 M: 8 N\n",
}


def write(tmp_path, text):
    path = tmp_path / "x.dbc"
    path.write_bytes(text.encode("utf-8"))
    return path


@pytest.mark.parametrize("row", REFUSED)
def test_both_refuse(tmp_path, row):
    path = write(tmp_path, REFUSED[row])
    with pytest.raises(Exception):
        load(path)
    done = ctl("check", path)
    assert done.returncode == 3, done.stdout
    assert f"{path}:" in done.stderr and "expected" in done.stderr


@pytest.mark.parametrize("row", LOADED)
def test_both_load(tmp_path, row):
    path = write(tmp_path, LOADED[row])
    done = ctl("check", path, "--json")
    assert done.returncode == 0, done.stderr
    theirs = load(path).messages
    assert [(m["name"], m["signals"]) for m in json.loads(done.stdout)["messages"]] == [
        (m.name, [s.name for s in m.signals]) for m in theirs]
    compare(path, 20)


@pytest.mark.parametrize("row", MILDER)
def test_we_are_milder_on_purpose(tmp_path, row):
    path = write(tmp_path, MILDER[row])
    with pytest.raises(Exception):
        load(path)
    done = ctl("check", path)
    assert done.returncode == 0, done.stderr


def test_two_messages_of_one_identifier_are_refused_on_purpose(tmp_path):
    path = write(tmp_path, "BO_ 1 A: 8 N\nBO_ 1 B: 8 N\n")
    assert len(load(path).messages) == 2
    assert ctl("check", path).returncode == 3


def test_short_frames_are_refused_and_long_ones_taken(tmp_path):
    path = write(tmp_path, 'BO_ 1 M: 2 N\n SG_ S : 0|16@1+ (1,0) [0|0] "" N\n')
    database = load(path)
    with pytest.raises(cantools.database.errors.DecodeError):
        database.decode_message(1, b"\x01")
    assert ctl("decode", path, text="(1.0) can0 001#01\n").returncode == 1
    long = ctl("decode", path, "--json", text="(1.0) can0 001#010203\n")
    assert json.loads(long.stdout)["signals"]["S"]["raw"] == database.decode_message(1, b"\x01\x02\x03")["S"]


def test_values_encode_to_the_same_frames():
    """Of every message of one module, from physical values on and between the steps."""
    database = load(MODULE_DBC)
    rng = random.Random(3)
    compared = 0
    for message in database.messages:
        if not message.name.startswith(("BMU03_pdo", "BMU03_pdalarm", "SYNC")) or message.is_multiplexed():
            continue
        for _ in range(5):
            raw = message.decode(rng.randbytes(message.length), decode_choices=False, scaling=False)
            values = {}
            for signal in message.signals:
                step = float(signal.conversion.scale)
                value = raw[signal.name] * step + float(signal.conversion.offset) + rng.choice([0, 0.3, -0.3]) * step
                low, high = float(signal.minimum), float(signal.maximum)
                values[signal.name] = min(max(value, low), high)
            theirs = message.encode(values, strict=True)
            done = ctl("encode", MODULE_DBC, message.name, *(f"{k}={v!r}" for k, v in values.items()))
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() == f"{message.frame_id:03X}#{theirs.hex().upper()}", values
            compared += 1
    assert compared > 40


@pytest.mark.parametrize("value, frame", [("2.5", "001#02"), ("3.5", "001#04")])
def test_halves_round_to_even(tmp_path, value, frame):
    path = write(tmp_path, 'BO_ 1 M: 1 N\n SG_ S : 0|8@1+ (1,0) [0|0] "" N\n')
    assert load(path).encode_message("M", {"S": float(value)}).hex() == frame[-2:].lower()
    assert ctl("encode", path, "M", f"S={value}").stdout.strip() == frame


def test_values_outside_of_limits_and_bits_are_refused(tmp_path):
    path = write(tmp_path, 'BO_ 1 M: 1 N\n SG_ S : 0|8@1+ (0.1,0) [1|2] "" N\n')
    database = load(path)
    for value in (0.5, 2.5, 30.0, -1.0):
        with pytest.raises(cantools.database.errors.EncodeError):
            database.encode_message("M", {"S": value})
        assert ctl("encode", path, "M", f"S={value}").returncode == 3


# Section 12.4, calculated with three decoders.
VECTORS = [
    ("181#3DFC7A12AEAF1416", {"CMA_Current": -96.30000000000001, "CMA_Voltage": 47.300000000000004,
                              "Min_Cell_Voltage": 3.9400000000000004, "Max_Cell_Voltage": 3.95,
                              "CMA_Min_Temp": 20, "CMA_Max_Temp": 22}),
    ("2A4#0112345678541500", {"InfoPage": 1, "SerialNumber": 0x12345678, "BuildWeek": 21, "BuildYear": 2021}),
    ("2A4#0200801C43000000", {"InfoPage": 2, "RatedCapacity": 156.5}),
    ("0A100100#E12001F402007B09", {"IMD_Rp": 500, "IMD_RpUncertainty": 2, "IMD_Rn": 123, "IMD_RnUncertainty": 9}),
]


@pytest.mark.parametrize("frame, values", VECTORS)
def test_worked_frames(frame, values):
    done = ctl("decode", MODULE_DBC, "--json", text=f"(1.0) can0 {frame}\n")
    signals = json.loads(done.stdout)["signals"]
    for name, value in values.items():
        assert signals[name]["value"] == value
