"""Every choice, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from redust.core.errors import SettingsError
from redust.core.settings import (
    TTA_COUNTS,
    DamageClass,
    DetectSettings,
    Polarity,
    RepairSettings,
    RestoreSettings,
    ScanSettings,
    Sensitivity,
)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RestoreSettings().level = 0.3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"levle": 0.4}, "there is no setting `levle`"),
        ({"level": 1.5}, "`level`: input should be less than or equal to 1, got 1.5"),
        ({"level": float("nan")}, "`level`"),
        ({"grow": -1}, "`grow`"),
        ({"polarity": "grey"}, "`polarity`.*'both', 'bright' or 'dark'"),
        ({"min_size": 9, "max_size": 3}, r"max_size \(3\) is below min_size \(9\)"),
        ({"tile": 3}, "`tile`"),
        ({"sensitivity": "bold"}, "`sensitivity`.*'shy', 'normal' or 'eager'"),
        ({"level": 0.4, "sensitivity": "shy"}, r"level \(0\.4\) and sensitivity \(shy\) exclude each other"),
        ({"page": 0}, "`page`"),
        ({"levle": 1, "grow": 99}, "`levle`; `grow`|`grow`.*; there is no setting `levle`"),
    ],
)
def test_a_bad_choice_is_named(choices: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        RestoreSettings.of(**choices)


def test_a_preset_gives_way_to_keywords(tmp_path: Path) -> None:
    preset = tmp_path / "p.toml"
    preset.write_text('level = 0.3\ngrow = 2\npolarity = "dark"\nfill = "telea"\n')
    settings = RestoreSettings.from_preset(preset, grow=0)
    assert (settings.level, settings.grow, settings.polarity, settings.fill) == (0.3, 0, Polarity.dark, "telea")
    assert DetectSettings.from_preset(preset).level == 0.3
    assert RepairSettings.from_preset(preset, fill_radius=2.0).fill == "telea"


@pytest.mark.parametrize("kind", [DetectSettings, RepairSettings, RestoreSettings])
@pytest.mark.parametrize("text", ["levle = 0.3", "level = 3", "level = ", "min_size = 5\nmax_size = 2"])
def test_a_bad_preset_is_named_whoever_asks(tmp_path: Path, kind: type[ScanSettings], text: str) -> None:
    preset = tmp_path / "p.toml"
    preset.write_text(text)
    with pytest.raises(SettingsError, match=r"p\.toml"):
        kind.from_preset(preset)


def test_a_missing_preset_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"p\.toml cannot be read"):
        RestoreSettings.from_preset(tmp_path / "p.toml")


def test_a_preset_and_a_keyword_that_clash_are_refused(tmp_path: Path) -> None:
    preset = tmp_path / "p.toml"
    preset.write_text("max_size = 5")
    with pytest.raises(SettingsError, match="below min_size"):
        RestoreSettings.from_preset(preset, min_size=9)


@pytest.mark.parametrize("kind", [DetectSettings, RestoreSettings])
def test_a_keyword_for_one_of_two_rivals_overrules_the_other_in_a_preset(
    tmp_path: Path, kind: type[DetectSettings]
) -> None:
    preset = tmp_path / "p.toml"
    preset.write_text("level = 0.3\nmin_size = 4\n")
    settings = kind.from_preset(preset, sensitivity="eager")
    assert (settings.level, settings.sensitivity, settings.min_size) == (None, Sensitivity.eager, 4)
    preset.write_text('sensitivity = "shy"')
    assert kind.from_preset(preset, level=0.3).sensitivity is None
    assert kind.from_preset(preset, min_size=2).sensitivity is Sensitivity.shy
    preset.write_text('sensitivity = "shy"\nlevel = 0.2')
    with pytest.raises(SettingsError, match="exclude each other"):
        kind.from_preset(preset)


def test_detecting_chooses_as_restoring_does() -> None:
    assert DetectSettings().grow == RestoreSettings().grow == 2
    assert RestoreSettings.covering(DetectSettings(level=0.2)) == RestoreSettings(level=0.2)


def test_every_field_has_a_description_for_its_flag() -> None:
    for name, field in RestoreSettings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize("tta", [*range(10)])
def test_views_are_whole_sets_of_flips_and_rotations(tta: int) -> None:
    if tta in TTA_COUNTS:
        assert DetectSettings.of(tta=tta).tta == tta
    else:
        with pytest.raises(SettingsError, match="`tta`"):
            DetectSettings.of(tta=tta)


def test_one_class_of_damage_may_be_written_as_a_word() -> None:
    assert DetectSettings.of(only="dust").only == (DamageClass.dust,)
    assert DetectSettings.of(skip=["hair", "crack"]).skip == (DamageClass.hair, DamageClass.crack)
    with pytest.raises(SettingsError, match="`skip"):
        DetectSettings.of(skip="fluff")


@pytest.mark.parametrize(
    "choices",
    [{"skip": tuple(DamageClass)}, {"only": "dust", "skip": "dust"}, {"only": ("dust",), "skip": ("hair", "dust")}],
)
def test_classes_that_leave_nothing_are_refused(choices: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="leave no class"):
        DetectSettings.of(**choices)
    assert DetectSettings.of(only=("dust", "hair"), skip="dust").skip == (DamageClass.dust,)


def test_a_whole_generated_picture_needs_the_generator() -> None:
    with pytest.raises(SettingsError, match="everywhere belongs to the method generator"):
        RestoreSettings.of(everywhere=True)
    assert RestoreSettings.of(everywhere=True, method="generator").everywhere


def test_a_misspelled_setting_is_suggested_and_a_strange_one_is_not() -> None:
    with pytest.raises(SettingsError, match=r"no setting `polarty` \(did you mean `polarity`\?\)"):
        DetectSettings.of(polarty="dark")
    with pytest.raises(SettingsError) as caught:
        DetectSettings.of(zzzzzz=1)
    assert "did you mean" not in str(caught.value)
    assert str(caught.value).endswith("Correct it, or leave it out for the default.")


def test_a_bad_value_is_repeated_in_short() -> None:
    with pytest.raises(SettingsError) as caught:
        DetectSettings.of(detector=["x" * 10_000])
    assert len(str(caught.value)) < 300
    assert "..." in str(caught.value)


def test_a_preset_holds_only_what_its_command_needs_but_all_of_it_is_checked(tmp_path: Path) -> None:
    preset = tmp_path / "p.toml"
    preset.write_text('method = "generator"\neverywhere = true\nlevel = 0.1\n')
    assert DetectSettings.from_preset(preset) == DetectSettings(level=0.1)
    assert RepairSettings.from_preset(preset) == RepairSettings()
    preset.write_text("everywhere = true")
    with pytest.raises(SettingsError, match="everywhere belongs"):
        RepairSettings.from_preset(preset)


@pytest.mark.parametrize("name", ["level", "blur", "grain", "max_megapixels", "max_tile_coverage"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_no_setting_is_infinite_negative_or_no_number(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"`{name}`"):
        RestoreSettings.of(**{name: value})
