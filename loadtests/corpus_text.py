"""The texts that the seeded corpus is put together from, in several scripts, over one line and "
"many."""

SYSTEM_PROMPTS = (
    "You answer customers of a mail-order shop. Be brief, be kind, and say so when you do not "
    "know.",
    "You are the assistant of an engineering team.\nAnswer with the command first and the reason "
    "after it.",
    "Du antwortest auf Deutsch, in höchstens fünf Sätzen, ohne Füllwörter.",
    "あなたは丁寧なカスタマーサポート担当者です。簡潔に答えてください。",
    "Tu réponds aux questions des élèves ; explique chaque étape, sans donner la solution d'abord.",
)

QUESTIONS = (
    "Where is order {reference}, and can it still be sent to another address?",
    "Order {reference} arrived damaged. What do I have to do now?",
    "Please summarise ticket {reference} in {n} sentences.",
    "Give me {n} short titles for article {reference}.",
    "Write a haiku about server {reference} going down at night 🌙",
    "Explain to a new colleague, in {n} steps, how incident {reference} came about.\nName the "
    "cause last.",
    "Die Rechnung {reference} ist doppelt abgebucht worden. Wie bekomme ich {n} Euro Gebühr "
    "zurück?",
    "Fasse den Vertrag {reference} zusammen:\n- Laufzeit\n- Kündigung\n- Preis über {n} Jahre",
    "Pouvez-vous vérifier la réservation {reference} ? Nous serons {n} personnes, dont deux "
    "enfants.",
    "¿Qué significa el código {reference} en la factura del año pasado? ¿Y por qué aparece {n} "
    "veces?",
    "Что означает ошибка {reference} и как её исправить за {n} минут?",
    "请用{n}句话解释订单 {reference} 为什么被取消。",
    "注文番号 {reference} の配送状況を教えてください。{n}日以内に必要です。",
    "주문 {reference} 을(를) 취소하고 싶습니다. {n}일 안에 환불되나요?",
    "ما هي حالة الطلب رقم {reference}؟ مر عليه {n} أيام.",
    "मेरे खाते {reference} से {n} बार पैसे क्यों कटे?",
    "Compare \"plan {reference}\" and 'plan B' in a table with {n} rows; keep the \\ and the \t "
    "in the names.",
    "Review this function of change {reference}:\n\n```python\ndef share(total: float, n: int = "
    "{n}) -> float:\n"
    "    return total / n  # what if n is 0?\n```\n\nOne sentence a finding.",
    "What is wrong with this query of report {reference}?\n\nSELECT name, count(*)\n  FROM "
    "orders\n WHERE year = 202{n};",
    "Translate for passenger {reference}: “The train is {n} minutes late – we are sorry.” → de, "
    "fr, ja",
)

CONTEXTS = (
    "## Returns\n\nGoods can be returned within 30 days. Opened software, food and "
    "made-to-measure articles are excluded. "
    "The refund goes to the means of payment of the order, as a rule within five working days of "
    "the parcel's arrival.",
    "## Shipping\n\n| country | days | price |\n|---|---:|---:|\n| AT, DE | 2 | 4.90 € |\n| CH | "
    "4 | 9.90 CHF |\n"
    "| JP | 9 | 2,400 ¥ |\n\nParcels above 30 kg go by forwarder; the driver calls the day before.",
    "2026-03-14 02:11:09 WARN pool exhausted (size=20, waiting=37)\n2026-03-14 02:11:12 ERROR "
    "timeout after 3000 ms\n"
    "2026-03-14 02:11:12 INFO  retry 1/3 in 250 ms\n2026-03-14 02:11:13 ERROR upstream reset the "
    "connection",
    "Protokoll der Sitzung vom 3. Mai: Die Umstellung auf Streaming wird beschlossen. Größere "
    "Änderungen am Formular "
    "folgen im Herbst. Offene Punkte: Maße der Anzeigefläche, Übersetzungen, Schulung der "
    "Außenstellen.",
    "会议纪要:客户希望在第一秒内看到回答的开头。团队决定改用流式传输,并在两周后测量效果。",
    "Le patient de 42 ans décrit une fièvre légère depuis trois jours ; pas d'allergie connue. "
    "Le traitement habituel "
    "n'a pas été interrompu. À revoir dans une semaine, ou plus tôt si les symptômes s'aggravent.",
    '{"user": {"name": "Zoë Núñez", "tags": ["vip", "früh"], "note": "calls back\\nafter 5 pm"}, '
    '"balance": -12.5}',
    "The quarterly report shows that sessions in which the first words appear within a second "
    "are left half as often. "
    "It also shows that the answer's whole duration matters less than its beginning, and that "
    "nobody reads faster than "
    "about eight words a second, so that a faster stream goes unnoticed once it outruns the "
    "reader.",
)

REPLIES = (
    "I have found the order. It left the warehouse this morning.",
    "Das kann ich leider nicht sehen. Könnten Sie mir die Kundennummer nennen?",
    "1. Open the settings.\n2. Choose *Export*.\n3. Confirm with your password.",
    "かしこまりました。確認いたしますので、少々お待ちください。",
    "Bien sûr ! Voici ce que j'ai trouvé :\n\n- la réservation est confirmée ;\n- le paiement "
    "est en attente.",
    "Sorry about that 😕. I have asked the carrier, and will tell you as soon as they answer.",
)
