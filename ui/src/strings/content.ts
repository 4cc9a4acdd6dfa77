/** German and Arabic for the texts of content and widgets, whose English is beside their views. */

export const contentDe: Record<string, string> = {
  "code.copy": "Code kopieren", "code.copied": "Kopiert", "code.failed": "Kopieren nicht möglich", "code.label": "Code, {language}", "code.plain": "Text",
  "table.label": "Tabelle", "math.label": "Formel", "link.newTab": "öffnet einen neuen Tab", "image.open": "Bild öffnen",
  "sources.title": "Quellen", "sources.count": "{count} Quellen", "sources.one": "1 Quelle", "sources.citation": "Quelle {number}: {title}", "sources.file": "Datei",
  "workflow.thinking": "Denkt nach", "workflow.working": "Arbeitet", "workflow.thoughtFor": "{duration} nachgedacht", "workflow.workedFor": "{duration} gearbeitet",
  "workflow.thought": "Nachgedacht", "workflow.done": "Fertig",
  "task.search": "Sucht im Web", "task.searched": "Im Web gesucht", "task.files": "Liest Dateien", "task.filesDone": "Dateien gelesen", "task.image": "Erzeugt ein Bild",
  "task.imageDone": "Bild erzeugt", "task.thought": "Denkt nach", "task.custom": "Aufgabe", "task.loading": "läuft", "task.complete": "erledigt",
  "generated.creating": "Bild wird erzeugt", "generated.progress": "Bild wird erzeugt, {percent} %", "generated.alt": "Erzeugtes Bild",
  "generated.failed": "Das Bild konnte nicht geladen werden", "generated.download": "Bild herunterladen",
  "widget.showMore": "{count} weitere zeigen", "widget.showAll": "Mehr zeigen", "widget.unknown": "Dieser Inhalt kann hier nicht gezeigt werden",
  "widget.failed": "Das hat nicht geklappt. Bitte erneut versuchen.", "widget.loading": "Arbeitet", "widget.choose": "Auswählen", "widget.chooseDate": "Datum wählen",
  "widget.clear": "Leeren", "widget.search": "Suchen", "widget.noMatches": "Nichts gefunden", "widget.previousMonth": "Voriger Monat", "widget.nextMonth": "Nächster Monat",
  "widget.expand": "Einzelheiten zeigen", "widget.collapse": "Einzelheiten verbergen", "widget.chart": "Diagramm", "widget.chartTable": "Daten des Diagramms",
  "widget.required": "Bitte ausfüllen.", "widget.invalid": "Bitte prüfen.",
};

export const contentAr: Record<string, string> = {
  "code.copy": "نسخ الشيفرة", "code.copied": "تم النسخ", "code.failed": "تعذّر النسخ", "code.label": "شيفرة، {language}", "code.plain": "نص",
  "table.label": "جدول", "math.label": "صيغة", "link.newTab": "يُفتح في علامة تبويب جديدة", "image.open": "فتح الصورة",
  "sources.title": "المصادر", "sources.count": "المصادر: {count}", "sources.one": "مصدر واحد", "sources.citation": "المصدر {number}: {title}", "sources.file": "ملف",
  "workflow.thinking": "يفكّر", "workflow.working": "يعمل", "workflow.thoughtFor": "فكّر لمدة {duration}", "workflow.workedFor": "عمل لمدة {duration}",
  "workflow.thought": "انتهى التفكير", "workflow.done": "تم",
  "task.search": "يبحث في الويب", "task.searched": "بحث في الويب", "task.files": "يقرأ الملفات", "task.filesDone": "قرأ الملفات", "task.image": "ينشئ صورة",
  "task.imageDone": "أنشأ صورة", "task.thought": "يفكّر", "task.custom": "مهمة", "task.loading": "قيد التنفيذ", "task.complete": "مكتملة",
  "generated.creating": "جارٍ إنشاء الصورة", "generated.progress": "جارٍ إنشاء الصورة، {percent} %", "generated.alt": "صورة مُنشأة",
  "generated.failed": "تعذّر تحميل الصورة", "generated.download": "تنزيل الصورة",
  "widget.showMore": "عرض {count} أخرى", "widget.showAll": "عرض المزيد", "widget.unknown": "لا يمكن عرض هذا المحتوى هنا",
  "widget.failed": "لم ينجح ذلك. حاول مرة أخرى.", "widget.loading": "جارٍ العمل", "widget.choose": "اختر", "widget.chooseDate": "اختر تاريخًا",
  "widget.clear": "مسح", "widget.search": "بحث", "widget.noMatches": "لا توجد نتائج", "widget.previousMonth": "الشهر السابق", "widget.nextMonth": "الشهر التالي",
  "widget.expand": "عرض التفاصيل", "widget.collapse": "إخفاء التفاصيل", "widget.chart": "رسم بياني", "widget.chartTable": "بيانات الرسم البياني",
  "widget.required": "املأ هذا الحقل.", "widget.invalid": "تحقّق من هذا الحقل.",
};
