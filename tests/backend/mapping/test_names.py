# SPDX-License-Identifier: GPL-3.0-or-later
"""Shape keys are recognized by the names of every convention, and nothing else is taken for one."""

import random
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from blender_demo.backend.head.head_model import load_head
from blender_demo.backend.mapping import names as names_module
from blender_demo.backend.mapping.names import Recognized, recognize
from blender_demo.backend.motion.factors import ARKIT_NAMES
from tests.plainest_names import match_names

CONVENTIONS = Path(names_module.__file__).parent / "conventions"


def one(name: str, *others: str) -> Recognized:
    """What a key shows, among others of its character."""
    found = recognize([name, *others])
    assert name in found, f"{name} is not recognized"
    return found[name]


def main_channel(name: str, *others: str) -> str:
    """The channel that a key shows most, without the side where it shows both."""
    channels = one(name, *others).channels
    best = max(channels, key=lambda channel: channels[channel])
    stem = best.removesuffix("Left").removesuffix("Right")
    return stem if {stem + "Left", stem + "Right"} <= channels.keys() else best


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name)


def short(name: str) -> str:
    """eyeBlink_L for eyeBlinkLeft; jawLeft and mouthLeft stay, as short forms commonly have it."""
    return (
        name if re.match("(jaw|mouth)(Left|Right)$", name) else re.sub("(Left|Right)$", lambda m: "_" + m[0][0], name)
    )


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as Apple": str,
    "PascalCase": lambda n: n[0].upper() + n[1:],
    "upper case": str.upper,
    "lower case": str.lower,
    "snake_case": lambda n: snake(n).lower(),
    "SCREAMING_SNAKE": lambda n: snake(n).upper(),
    "Title Case": lambda n: snake(n).replace("_", " ").title(),
    "kebab-case": lambda n: snake(n).replace("_", "-").lower(),
    "_L": short,
    ".L": lambda n: short(n).replace("_", "."),
    "L": lambda n: short(n).replace("_", ""),
    "shapes._L": lambda n: "shapes." + short(n),
    "mesh in front": lambda n: "head_" + n,
    "VRM": lambda n: "Face.M_F00_000_00_" + n,
    "Maya": lambda n: "blendShape1." + short(n),
    "ARKit_": lambda n: "ARKit_" + short(n).upper(),
    "faceit_": lambda n: "faceit_" + n,
    "geo behind": lambda n: n + "_geo",
    "duplicate": lambda n: n + ".001",
    "name space": lambda n: "hero:face:" + n,
    "FBX name space": lambda n: "Model|" + n,
    "side first": lambda n: re.sub("^(.*)(Left|Right)$", r"\2_\1", n),
    "mesh__": lambda n: "Wolf3D_Head__" + n,
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_all_52_are_told_apart_in_every_spelling(spell: Callable[[str], str]) -> None:
    found = recognize([spell(name) for name in ARKIT_NAMES])
    assert {name: dict(found[spell(name)].channels) for name in ARKIT_NAMES} == {n: {n: 1.0} for n in ARKIT_NAMES}
    assert match_names([spell(name) for name in ARKIT_NAMES]) == {name: spell(name) for name in ARKIT_NAMES}


def test_arkit_is_called_arkit() -> None:
    assert {found.convention for found in recognize(ARKIT_NAMES).values()} == {"ARKit"}


ALONE = """
eyeBlinkLeft eyeBlinkLeft | mouthSmile mouthSmile | eyesClosed eyeBlink | eyesLookUp eyeLookUp
mouthOpen jawOpen | viseme_aa jawOpen | viseme_PP mouthPress | Wolf3D_Head.viseme_O mouthFunnel
vrc.v_ou mouthPucker | vrc.blink_left eyeBlinkLeft | VRC.V_CH mouthFunnel | blink eyeBlink
Blink_L eyeBlinkLeft | lookUp eyeLookUp | Fcl_MTH_U mouthPucker | Fcl_EYE_Close eyeBlink
Fcl_EYE_Close_R eyeBlinkRight | Fcl_BRW_Angry browDown | Face.M_F00_000_00_Fcl_MTH_A jawOpen
Face_Blendshape.Fcl_BRW_Sorrow browInnerUp | まばたき eyeBlink | ウィンク eyeBlinkLeft | ウインク右 eyeBlinkRight
ｳｨﾝｸ２右 eyeBlinkRight | ウィンク２ eyeBlinkLeft | びっくり eyeWide | ジト目 eyeBlink
じと目 eyeBlink | 口角上げ mouthSmile
怒り眉 browDown | V_Open jawOpen | V_Explosive mouthPress | V_Dental_Lip mouthRollLower | V_Tight_O mouthPucker
V_Affricate mouthFunnel | Mouth_Smile_L mouthSmileLeft | Brow_Raise_Inner_L browInnerUp
Eye_Blink_L eyeBlinkLeft | Eyes_Blink eyeBlink | Jaw_Open jawOpen | Mouth_Pucker_Open mouthFunnel
Mouth_Pucker_Up_L mouthPucker | Mouth_Roll_In_Lower_R mouthRollLower | Mouth_Down_Lower_R mouthLowerDownRight
Mouth_L mouthLeft | Eye_L_Look_R eyeLookInLeft | Eye_R_Look_R eyeLookOutRight | Eye_L_Look_Up eyeLookUpLeft
Brow_Drop_R browDownRight | Cheek_Raise_L cheekSquintLeft | blendShape1.MTH_A jawOpen
blendShape2.EYE_DEF_C eyeBlink | MTH_SMILE1 mouthSmile | Expressions_mouthOpen_max jawOpen
Expressions_eyeClosedL_max eyeBlinkLeft | Expressions_eyeClosedR_min eyeWideRight
Expressions_mouthSmile_min mouthFrown | Expressions_mouthOpenLarge_min mouthPucker
Expressions_browsMidVert_max browInnerUp | Expressions_eyesVert_min eyeLookDown
Expressions_jawHoriz_max jawLeft | eye-left-closure eyeBlinkLeft | eyebrows-right-extern-up browOuterUpRight
mouth-corner-puller mouthSmile | nose-left-elevation noseSneerLeft | mouth-pursing mouthPucker
eye-right-opened-up eyeWideRight | CTRL_expressions_jawOpen jawOpen
CTRL_expressions_mouthCornerPullL mouthSmileLeft | CTRL_expressions_eyeLookLeftR eyeLookInRight
ctrl_expressions_mouthcornerpulll mouthSmileLeft | CTRL_expressions_mouthFunnelUL mouthFunnel
head_lod0_mesh__mouth_cornerPull_left mouthSmileLeft | head_lod0_mesh__brow_raiseIn_R browInnerUp
head_lod0_mesh__mouth_lipsPurse_DL mouthPucker | head_lod0_mesh__eye_lookLeft_L eyeLookOutLeft
eCTRLvAA jawOpen | head__eCTRLvM mouthPress | facs_ctrl_vUW mouthPucker
Genesis8Female__eCTRLvF mouthRollLower | facs_bs_JawOpen jawOpen | Genesis9__facs_bs_EyeBlinkLeft eyeBlinkLeft
eCTRLMouthSmile mouthSmile | eCTRLEyesClosedL eyeBlinkLeft | eCTRLJawOut-In jawForward
facs_bs_MouthFunnelUpperLeft mouthFunnel | MouthCornerPullLeft mouthSmileLeft
LipSuckUpperRight mouthRollUpper | EyeClosedRight eyeBlinkRight | BrowLowererLeft browDownLeft
Mouth_Smile_Left mouthSmileLeft | Eye_Left_Blink eyeBlinkLeft | Mouth_Upper_Upleft mouthUpperUpLeft
mouth_open jawOpen | MouthOpen jawOpen | Jaw jawOpen | open jawOpen | talk jawOpen | Smile_Left mouthSmileLeft
blink.L eyeBlinkLeft | Close_Eye_R eyeBlinkRight | brow_up_l browOuterUpLeft | frown mouthFrown
lip_pucker mouthPucker | LipsPucker mouthPucker | eyebrows_raised browInnerUp | puff_cheeks cheekPuff
tongue_out tongueOut | eyes_shut eyeBlink | wink_right eyeBlinkRight | look_left eyeLookOutLeft
upperLipRaise_L mouthUpperUpLeft | mouth_O mouthFunnel | Lächeln mouthSmile | laecheln mouthSmile
Mund_auf jawOpen | bouche_ouverte jawOpen | sonrisa mouthSmile | parpadeo eyeBlink | sorriso mouthSmile
张嘴 jawOpen | 微笑 mouthSmile | 눈깜빡임 eyeBlink | 미소 mouthSmile | Zunge_raus tongueOut
"""


@pytest.mark.parametrize(
    "pair", [pair.split() for pair in ALONE.replace("\n", " | ").strip(" |").split(" | ")], ids=" ".join
)
def test_a_name_that_speaks_for_itself_is_recognized_alone(pair: list[str]) -> None:
    assert main_channel(pair[0]) == pair[1]


TOGETHER = {
    "Oculus visemes": "sil PP FF TH DD kk CH SS nn RR aa E I O U",
    "VRM": "A I U E O Blink Blink_L Blink_R LookUp",
    "MMD": "あ い う え お ん 上 下 怒り 困る にこり まばたき",
    "MMD (English)": "Ah Ch U E Oh",
    "Rhubarb": "A B C D E F G H X",
    "Preston Blair": "AI E O U WQ FV MBP L etc rest",
    "Character Creator": "Open Explosive Dental_Lip Tight-O Tight Wide Affricate Lip_Open",
    "faceshift": "EyeUp_L EyeUp_R EyeOpen_L BrowsU_C BrowsD_L Puff Sneer LipsStretch_L",
    "Mixamo": "Blink_Left BrowsIn_Left LowerLipIn Midmouth_Left MouthWhistle_NarrowAdjust_Right Smile_Right",
}


@pytest.mark.parametrize("convention", TOGETHER)
def test_short_names_count_where_their_convention_is_there(convention: str) -> None:
    keys = TOGETHER[convention].split()
    found = recognize(keys)
    assert {value.convention for value in found.values()} == {convention}
    assert set(keys) - set(found) <= {"sil", "rest", "X"}


def test_the_same_letter_means_what_its_set_says() -> None:
    assert main_channel("A", *TOGETHER["VRM"].split()) == "jawOpen"
    assert main_channel("A", *TOGETHER["Rhubarb"].split()) == "mouthPress"
    assert main_channel("Smile", "Blink", "Wink 2", "Kiri-eye", "Ah") == "eyeBlink"
    assert main_channel("Smile", "Frown", "Ah", "Blink") == "mouthSmile"
    assert main_channel("mouth_L", "mouth_R") == "mouthLeft"
    assert main_channel("mouth_L", *(f"mouth_{name}" for name in TOGETHER["Preston Blair"].split())) == "jawOpen"


SHORT = "A E I O U aa ih ou ee oh B C X L M etc rest PP FF kk nn あ い 上 下 아 ah ch wide oo up"


@pytest.mark.parametrize("name", SHORT.split())
def test_a_short_name_alone_says_nothing(name: str) -> None:
    assert not recognize(["Basis", name, "jawOpen", "Key 1"]).keys() - {"jawOpen"}


NO_FACE_SHAPES = {
    "body": """
        muscle fat thin weight BreastSize breast_up breast_down belly_fat waist_width hip_width shoulder_width
        neck_length leg_length arm_muscle Butt_Size foot_size hand_open hand_close fist_left finger_curl_L
        thumb_up_R knee_bend elbow_bend_L torso_twist spine_curve abs_definition body_tone pregnant veins
        calf_size thigh_gap nipple height age young old child asian african caucasian gender male female
        chest_expand ribcage chest_up bust_l bust_r PBMGraceBreastsSize pJCMThighBend_90_L pJCMJawOpen
        JCM_ForearmBend_135 MCM_smile FBMHeavy FHMBabyFace Expressions_abdomExpansion_max
        Expressions_chestExpansion_min Expressions_deglutition_max Expressions_pupilsDilatation_max
        Neck_Swallow_Up Head_Turn_L Head_Tilt_R macro-young
    """,
    "identity": """
        mouth_width mouth_size mouth_height mouth_depth mouth_position mouth_up_position lip_thickness lips_full
        lips_thin lips_thick lips_volume upper_lip_thickness lower_lip_volume head_size head_width head_long
        head_round head_scale jaw_width jaw_size jaw_length jaw_square jaw_angle chin_length chin_width
        chin_sharp chin_round cheek_bones cheek_fat cheek_volume cheekbone_width nose_width nose_length
        nose_bridge nose_tip nose_up nose_down nose_big nose_small nose_hook nostril_width nostrils_flare
        eye_size eye_distance eye_height eye_depth eye_rotation eye_tilt EyeColor eye_color eyes_big eyes_small
        eyes_round eyes_apart eyelid_fold double_eyelid_up_L brow_thickness brow_length brow_density brow_shape
        brow_color eyebrow_thick eyebrows_thin ear_size ear_pointy ears_elf ears_out ear_up_L forehead_height
        temple_width face_round face_long face_width face_wide face_fat skin_wrinkle freckles scar_left
        makeup_on lashes_long eyelash_up eyelash_down_L iris_size pupil_small pupil_cat pupil_dilate_L
        PupilDilate_R sclera_red teeth_shark teeth_hide teeth_gap fang_left fangs tongue_color tongue_long
        tongue_forked tongue_hide gums_show horn_left horns beard_length moustache hair_long hair_short hair_up
        hair_down hair_left bangs_hide Eye_Down Eye_Up Eye_Far Nose_High Nose_Low Mouth_Wide Mouth_Narrow
        Lips_Thick Face_Round Chin_Sharp eye_shape_L eye_shape_angry_R eyes_smile_shape_L lips_smooth_lower
        lips_curve_shape_lower smile_lines smile_wrinkle frown_lines smirk_scar identity000 identity099
        mouth-scale-horiz-incr nose-point-width-incr l-eye-scale-incr chin-jaw-drop-decr
    """,
    "clothes and props": """
        hat_hide shirt_open jacket_open jacket_close coat_open_L zipper_down hood_up hood_down skirt_up
        skirt_wide sleeve_up_L sleeves_rolled pants_long shoes_on shoe_heel_up glove_off glasses_off glasses_up
        mask_on mask_down helmet_open visor_open visor_up door_open door_close lid_open box_open trunk_open
        wing_open_L wings_close tail_up tail_down claw_out cape_wide tie_loose belt_tight collar_up button_open
        pocket_left HideHairBalls HideEarRings HideBlush blush blush_on tears sweat cry_tears tear_left
        heart_eyes star_eyes eyes_x shadow_hide outline_off Fcl_HA_Fung1 Fcl_HA_Hide Fcl_EYE_Iris_Hide
        Fcl_EYE_Highlight_Hide Fcl_MTH_SkinFung 照れ 涙 頬染め 星目 はぁと 瞳小 ハイライト消 がーん
        青ざめ 白目 open_sign close_up_camera
        speed_up level_up
    """,
    "moods of the whole face": """
        Joy joy Angry angry Sorrow Fun fun Surprised surprised happy Happy happy_L sad relaxed neutral Neutral
        smile_all emotion_happy emotion_sad mood_angry face_angry face_happy expression_joy eCTRLSmile
        eCTRLAngry eCTRLSurprised eCTRLFrown facs_ctrl_Happy laugh laughing crying scared fear disgust contempt
        bored pain shock confused thinking sleepy sleep embarrassed shy love evil_grin_all kissy_face_all
        angry_mouth_open happy_eyes_closed Fcl_ALL_Joy Fcl_ALL_Angry Fcl_ALL_Neutral Fcl_ALL_Surprised
        EMO_happy_peak 喜び 楽
    """,
    "correctives": """
        eyeBlinkLeft_jawOpen_corrective jawOpen_mouthSmile_fix C_jawOpen C_mouthSmileLeft_jawOpen
        C_CheekRaiseL_CornerPullL JawOpenCorrective mouthPucker_jawOpen_combo eyeBlink_eyeSquint_L
        smile_corrective_L jawOpen_wrinkle browDown_wrinkleMap_L jawOpen50 Smile_inbetween eyeBlinkLeft_half
        fix_eyeBlinkLeft undo_jawOpen no_blink blink_off hide_mouth smile_fix_R MupperLipRaise_Jopen_L
        Mpurse_Mtowards__pucker_UL MouthSmile_L_jawOpen viseme_aa_jawOpen_corr mouthFunnel_mouthPucker
        jawOpen_and_smile
    """,
    "all sorts": """
        Basis basis Key Key.001 Column Untitled test new reference Base base_mesh Neutral_Basis SculptLayer1
        Sculpt_01 deform 1 2 01 02_a x y z left right down in out a_b E1 mouth eye brow lip cheek nose tongue
        teeth jaw_bone head face Body Left_Side Right_Side front back wind gravity bend twist stretch_all squash
        taper bulge inflate deflate wave noise smooth flatten pose T-pose rest_pose bounce look > <
    """,
}


@pytest.mark.parametrize("kind", NO_FACE_SHAPES)
def test_nothing_is_recognized_that_is_no_shape_of_a_face(kind: str) -> None:
    names = NO_FACE_SHAPES[kind].split()
    assert recognize(names) == {}
    assert {name: found for name in names if (found := recognize([name]))} == {}


def test_nothing_is_recognized_among_a_whole_faces_names_either() -> None:
    names = [name for kind in NO_FACE_SHAPES.values() for name in kind.split()]
    assert len(names) > 400
    assert not recognize([*names, *ARKIT_NAMES]).keys() - set(ARKIT_NAMES)


def test_the_order_of_the_names_makes_no_difference() -> None:
    names = [*ARKIT_NAMES, *(name for keys in TOGETHER.values() for name in keys.split()), "CTRL_jawOpen", "JawOpen"]
    expected, shuffled = recognize(names), names.copy()
    random.Random(1).shuffle(shuffled)
    assert recognize(shuffled) == expected
    assert match_names(shuffled) == match_names(names)


def test_of_two_keys_for_one_channel_the_plainest_is_surest() -> None:
    found = recognize(["CTRL_jawOpen", "jawOpen", "Sara_jawOpen", "JawOpen"])
    sure = [found[name].confidence for name in ("jawOpen", "JawOpen", "CTRL_jawOpen", "Sara_jawOpen")]
    assert sure == sorted(set(sure), reverse=True)
    assert match_names(["CTRL_jawOpen", "jawOpen"]) == {"jawOpen": "jawOpen"}


def test_halves_show_half() -> None:
    assert one("browInnerUpLeft").channels == {"browInnerUp": 0.5}
    assert one("cheekPuff_R").channels == {"cheekPuff": 0.5}
    quarters = [f"Mouth_Pucker_{place}_{side}" for place in ("Up", "Down") for side in "LR"]
    assert sum(found.channels["mouthPucker"] for found in recognize(quarters).values()) == 1.0
    assert recognize(["jawOpen_L", "viseme_aa_L", "tongueOut_R"]) == {}


def test_left_is_the_characters_own() -> None:
    assert one("lookLeft").channels == {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}
    assert one("ウィンク").channels == {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.6}


def test_sliders_that_go_both_ways_say_so() -> None:
    slider = one("eCTRLBrowUp-Down")
    assert slider.low == -1.0
    assert slider.channels["browDownLeft"] < 0.0 < slider.channels["browOuterUpLeft"]
    assert all(found.low == 0.0 for found in recognize(ARKIT_NAMES).values())


def test_doubtful_names_are_less_sure() -> None:
    assert one("jawOpen").confidence == 1.0
    assert 0.9 > one("smile").confidence > one("open").confidence > 0.0


def test_every_entry_of_every_convention_is_recognized_among_its_own() -> None:
    for path in CONVENTIONS.glob("*.toml"):
        for table in tomllib.loads(path.read_text("utf-8"))["names"]:
            shapes = [
                shape
                for pattern, shown in table["shapes"].items()
                if shown not in ("sil", {})
                for shape in names_module._expanded(pattern)
            ]
            missing = set(shapes) - recognize([*shapes, *table.get("witness", ())]).keys()
            assert not missing, f"{path.name}: {missing}"


def test_channels_are_the_tables_and_weights_make_sense() -> None:
    found = [value for path in CONVENTIONS.glob("*.toml") for value in recognize(_shapes(path)).values()]
    assert {channel for value in found for channel in value.channels} <= set(ARKIT_NAMES)
    assert all(0.0 < abs(weight) <= 1.0 for value in found for weight in value.channels.values())
    assert all(value.low == -1.0 or min(value.channels.values()) > 0.0 for value in found)


def _shapes(path: Path) -> list[str]:
    tables = tomllib.loads(path.read_text("utf-8"))["names"]
    return [shape for table in tables for pattern in table["shapes"] for shape in names_module._expanded(pattern)]


class TestVisemesOnTheHead:
    """What the mouth shapes look like, measured on the project's own head."""

    @staticmethod
    def weights(channels: Iterable[tuple[str, float]]) -> np.ndarray:
        row = np.zeros((1, len(ARKIT_NAMES)), np.float32)
        for channel, weight in channels:
            row[0, ARKIT_NAMES.index(channel)] = weight
        return row

    def aperture(self, name: str, *others: str) -> float:
        return float(load_head().aperture(self.weights(one(name, *others).channels.items()))[0])

    def rounding(self, name: str) -> float:
        return float(load_head().rounding(self.weights(one(name).channels.items()))[0])

    @pytest.mark.parametrize("name", ["viseme_PP", "vrc.v_pp", "V_Explosive", "mouth_MBP", "eCTRLvM", "Mouth_Plosive"])
    def test_bilabials_shut_the_lips(self, name: str) -> None:
        assert self.aperture(name) < 0.005

    def test_bilabials_of_whole_sets_shut_the_lips(self) -> None:
        assert self.aperture("A", *TOGETHER["Rhubarb"].split()) < 0.005
        assert self.aperture("MBP", *TOGETHER["Preston Blair"].split()) < 0.005
        assert self.aperture("ん", *TOGETHER["MMD"].split()) < 0.005

    def test_vowels_open_in_the_order_of_phonetics(self) -> None:
        openings = [self.aperture(f"viseme_{vowel}") for vowel in ("aa", "E", "I", "FF")]
        assert openings == sorted(openings, reverse=True)
        assert openings[0] > 0.25
        assert openings[-1] < 0.03

    def test_rounded_vowels_round_and_spread_ones_spread(self) -> None:
        assert min(self.rounding("viseme_U"), self.rounding("viseme_O")) > 0.15
        assert self.rounding("viseme_I") < -0.05 < self.rounding("viseme_aa")
        assert self.aperture("viseme_O") > self.aperture("viseme_U") > 0.04
