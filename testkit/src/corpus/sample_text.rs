//! Words for the generated events: several scripts, and all that must be escaped.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

pub(super) const TITLES: [&str; 14] = [
    "Team meeting",
    "Zahnarzt, Dr. Müller; Prophylaxe",
    "Größenübersicht prüfen – Straße gesperrt",
    "Déjeuner à l’École",
    "プロジェクト会議:第二四半期の計画と予算の見直しについて",
    "年度总结会议,请准备材料",
    "اجتماع الفريق الأسبوعي",
    "פגישת צוות שבועית",
    "Обсуждение бюджета на следующий квартал",
    "Party 🎉🎂 at Zoë’s 👩‍👩‍👧‍👦 place",
    "Review: C:\\temp\\notes; then lunch, maybe",
    "1:1",
    "Quarterly planning with a title that is long enough to be folded more than once by any careful program",
    "नमस्ते बैठक",
];

pub(super) const PLACES: [&str; 6] = [
    "Room 3.14",
    "Hauptstraße 12, 10115 Berlin",
    "東京都千代田区丸の内一丁目",
    "Café “Zur Post”; first floor, left",
    "https://meet.example.com/room?a=1&b=2",
    "\u{1F3E2} HQ",
];

const SENTENCES: [&str; 8] = [
    "Please read the notes beforehand, and bring your own.",
    "Agenda: numbers; people; any other business.",
    "Die Übergabe erfolgt um zehn, der Schlüssel liegt am Empfang.",
    "Ссылка на документ придёт позже.",
    "詳細は後日お知らせします。",
    "A path such as C:\\projects\\plan, and a \"quoted\" word.",
    "See https://example.org/a?b=c&d=e#f for more 📎.",
    "<b>Not</b> markup, but it looks like it & must survive.",
];

pub(super) fn pick<'a>(rng: &mut StdRng, words: &[&'a str]) -> &'a str {
    words.choose(rng).copied().unwrap_or_default()
}

/// A few sentences, some on lines of their own.
pub(super) fn paragraph(rng: &mut StdRng) -> String {
    let mut text = String::new();
    for _ in 0..rng.random_range(1..5) {
        text.push_str(pick(rng, &SENTENCES));
        text.push_str(if rng.random_bool(0.4) { "\n" } else { " " });
    }
    text.trim_end_matches(' ').to_owned()
}

/// Text of at least `octets`, as a person who pastes a whole thread into a description makes it.
pub(super) fn long_text(rng: &mut StdRng, octets: usize) -> String {
    let mut text = String::with_capacity(octets + 400);
    while text.len() < octets {
        text.push_str(&paragraph(rng));
        text.push_str("\n\n> ");
    }
    text.push_str("end");
    text
}
