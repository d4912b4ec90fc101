"""The add-on in German. tests/addon/test_translations.py says what is missing here and what nobody says any longer."""

from __future__ import annotations

GERMAN: dict[str, str] = {
    # Panels and their sentences
    "Backend": "Backend",
    "Backend {version} in {folder}": "Backend {version} in {folder}",
    "Clip": "Clip",
    "Finished Clips": "Fertige Clips",
    "Look": "Aussehen",
    "Queue": "Warteschlange",
    "Strip": "Streifen",
    "Time and Size": "Dauer und Größe",
    "Generated Clip": "Erzeugter Clip",
    "Choose a scene in the sequencer's header first.": "Wähle zuerst eine Szene in der Kopfzeile des Sequenzers.",
    "Made for {rate} frames a second.": "Gemacht für {rate} Bilder pro Sekunde.",
    "Delivered at {rate}, with new pictures between.": "Geliefert mit {rate}, mit neuen Bildern dazwischen.",
    "Nothing is being generated.": "Es wird nichts erzeugt.",
    "The backend is asked for its styles.": "Das Backend wird nach seinen Stilen gefragt.",
    "The backend is ready.": "Das Backend ist bereit.",
    "The backend is ready. It works on {device}.": "Das Backend ist bereit. Es rechnet auf {device}.",
    "The backend is starting.": "Das Backend startet.",
    "The style makes at most {frames}: {seconds}.": "Der Stil macht höchstens {frames}: {seconds}.",
    "The view transform {view} changes the colors of clips.": (
        "Die Ansichtstransformation {view} ändert die Farben der Clips."
    ),
    "Up to {frames}; sides from {least} to {most} pixels in steps of {step}.": (
        "Bis zu {frames}; Seiten von {least} bis {most} Pixel in Schritten von {step}."
    ),
    "What it must not show": "Was nicht zu sehen sein darf",
    "What the clip shows": "Was der Clip zeigt",
    "{count} more in the queue.": "{count} weitere in der Warteschlange.",
    "{frames} of {width} × {height} pixels at {fps} a second; in the edit {length} at {rate}, which is {seconds}.": (
        "{frames} mit {width} × {height} Pixeln, {fps} pro Sekunde; im Schnitt {length} bei {rate}, also {seconds}."
    ),
    "{style}, seed {seed}, {frames} of {width} × {height}": (
        "{style}, Startwert {seed}, {frames} mit {width} × {height}"
    ),
    # How far a clip is
    "Asking the backend for the clip": "Das Backend wird nach dem Clip gefragt",
    "Cancelled": "Abgebrochen",
    "Cancelling": "Wird abgebrochen",
    "Carrying the motion over": "Die Bewegung wird übertragen",
    "Connecting to the backend": "Die Verbindung zum Backend wird aufgebaut",
    "Fetching the frames": "Die Bilder werden geholt",
    "Finished": "Fertig",
    "Finished. It is shown when nothing is being moved or rendered": (
        "Fertig. Er erscheint, wenn nichts mehr bewegt oder gerendert wird"
    ),
    "Finished. Its strip is not in this file": "Fertig. Sein Streifen ist nicht in dieser Datei",
    "Fitting the frame rate": "Die Bildrate wird angepasst",
    "In the edit": "Im Schnitt",
    "Loading the models": "Die Modelle werden geladen",
    "Making the pictures": "Die Bilder entstehen",
    "No backend runs. The clip waits for its next start": (
        "Es läuft kein Backend. Der Clip wartet auf dessen nächsten Start"
    ),
    "Painting": "Es wird gemalt",
    "Reading the footage": "Das Filmmaterial wird gelesen",
    "Reading the prompt": "Der Prompt wird gelesen",
    "Smoothing the motion": "Die Bewegung wird geglättet",
    "Starting the backend": "Das Backend wird gestartet",
    "Storing the clip": "Der Clip wird gespeichert",
    "The queue is paused": "Die Warteschlange ist angehalten",
    "Waiting for its turn": "Wartet, bis er an der Reihe ist",
    "about {time} left": "noch etwa {time}",
    "no news for {time}": "keine Nachricht seit {time}",
    "{count} before it": "{count} vor ihm",
    "{count} frame": "{count} Bild",
    "{count} frames": "{count} Bilder",
    "{done} of {total} MB": "{done} von {total} MB",
    "{step} of {steps}": "{step} von {steps}",
    # Buttons and their tooltips
    "Again with New Seed": "Nochmals mit neuem Startwert",
    "Ask the backend for finished clips: those of a Blender that was closed, of another file, of a terminal": (
        "Das Backend nach fertigen Clips fragen: aus einem geschlossenen Blender, einer anderen Datei, einem Terminal"
    ),
    "Cancel": "Abbrechen",
    "Cancel All": "Alle abbrechen",
    "Choose another seed": "Einen anderen Startwert wählen",
    "Copy Command": "Befehl kopieren",
    "Copy the command, to paste it into a terminal": "Den Befehl kopieren, um ihn in ein Terminal einzufügen",
    "End the backend, which frees all of its memory; unfinished jobs wait for the next start": (
        "Das Backend beenden, was all seinen Speicher freigibt; Unfertiges wartet auf den nächsten Start"
    ),
    "End the generation of a clip": "Die Erzeugung eines Clips beenden",
    "Find Clips": "Clips finden",
    "Generate": "Erzeugen",
    "Generate the clip again for the strips that wait for it, or that show it": (
        "Den Clip noch einmal erzeugen, für die Streifen, die auf ihn warten oder ihn zeigen"
    ),
    "Insert": "Einfügen",
    "Let the backend start jobs again": "Das Backend wieder Clips beginnen lassen",
    "Let the backend start no further job; what is being made is finished": (
        "Das Backend keinen weiteren Clip beginnen lassen; was begonnen ist, wird fertig"
    ),
    "Make another picture of the same words": "Ein anderes Bild aus denselben Worten machen",
    "New Seed": "Neuer Startwert",
    "Open Folder": "Ordner öffnen",
    "Open the clip's folder in the file browser of this computer": (
        "Den Ordner des Clips im Dateimanager dieses Rechners öffnen"
    ),
    "Pause": "Anhalten",
    "Pause Queue": "Warteschlange anhalten",
    "Put a finished clip into the edit at the playhead": "Einen fertigen Clip am Abspielkopf in den Schnitt einfügen",
    "Put a strip at the playhead that waits for a clip, and generate the clip": (
        "Am Abspielkopf einen Streifen anlegen, der auf einen Clip wartet, und den Clip erzeugen"
    ),
    "Resume": "Fortsetzen",
    "Resume Queue": "Warteschlange fortsetzen",
    "Set the panel to what made the active strip": "Das Bedienfeld auf das setzen, woraus der aktive Streifen entstand",
    "Settings from Strip": "Einstellungen vom Streifen",
    "Show colors as they are in the files: set the scene's view transform to Standard": (
        "Farben zeigen, wie sie in den Dateien sind: die Ansichtstransformation der Szene auf Standard setzen"
    ),
    "Start": "Starten",
    "Start Backend": "Backend starten",
    "Start the backend, to see its styles": "Das Backend starten, um seine Stile zu sehen",
    "Stop": "Beenden",
    "Stop Backend": "Backend beenden",
    "Try Again": "Noch einmal versuchen",
    "Use View Standard": "Ansicht Standard verwenden",
    # Fields, what can be chosen, and tooltips
    "-1: a new one": "-1: ein neuer",
    "A channel, or the next free one above it": "Ein Kanal oder der nächste freie darüber",
    "Above Active Strip": "Über dem aktiven Streifen",
    "Above Everything": "Über allem",
    "Active Strip": "Aktiver Streifen",
    "All of the clip is seen": "Der ganze Clip ist zu sehen",
    "Another number gives another clip": "Eine andere Zahl ergibt einen anderen Clip",
    "As long as the active strip": "So lang wie der aktive Streifen",
    "As long as the preview range, or as the scene if there is none": (
        "So lang wie der Vorschaubereich, oder wie die Szene, wenn es keinen gibt"
    ),
    "As long as the style's models make clips best": "So lang, wie die Modelle des Stils Clips am besten machen",
    "Channel": "Kanal",
    "Channel, or the first to try; 0: as Place says": "Kanal, oder der erste Versuch; 0: wie Platz es sagt",
    "Choose a new seed with every Generate": "Mit jedem Erzeugen einen neuen Startwert wählen",
    "Clip's Own": "Die des Clips",
    "Scene's, Smooth": "Die der Szene, weich",
    "As long, with new pictures between the clip's own, made along what moves in it": (
        "Ebenso lang, mit neuen Bildern zwischen denen des Clips, die seinen Bewegungen folgen"
    ),
    "Clips of Unsaved Files": "Clips ungespeicherter Dateien",
    "Each frame of the clip is one frame of the scene, at whatever speed that is": (
        "Jedes Bild des Clips ist ein Bild der Szene, wie schnell er damit auch läuft"
    ),
    "Fill": "Füllen",
    "First frame; left out: the playhead": "Erstes Bild; weggelassen: der Abspielkopf",
    "Fit": "Einpassen",
    "Frame Rate": "Bildrate",
    "Frames": "Bilder",
    "Frames of the scene": "Bilder der Szene",
    "Height": "Höhe",
    "Height of the clip, in the style's steps": "Höhe des Clips, in den Schritten des Stils",
    "How long the clip is": "Wie lang der Clip ist",
    "How long the clip is in the edit": "Wie lang der Clip im Schnitt ist",
    "How many pixels the clip has": "Wie viele Pixel der Clip hat",
    "How much work goes into the clip": "Wie viel Arbeit in den Clip geht",
    "How the clip fills the picture": "Wie der Clip das Bild füllt",
    "Length": "Länge",
    "Length of the clip": "Länge des Clips",
    "Length of the clip in the scene": "Länge des Clips in der Szene",
    "Live Preview": "Laufende Vorschau",
    "Look of the clip": "Aussehen des Clips",
    "Name of a preset; empty: the style's own": "Name einer Vorgabe; leer: die des Stils",
    "Name of a style; empty: the backend's first": "Name eines Stils; leer: der erste des Backends",
    "Name of the preset; empty: the style's own": "Name der Vorgabe; leer: die des Stils",
    "Name of the style; empty: the backend's first": "Name des Stils; leer: der erste des Backends",
    "New Seed Each Time": "Jedes Mal neuer Startwert",
    "One pixel of the clip is one pixel of the picture": "Ein Pixel des Clips ist ein Pixel des Bildes",
    "Original": "Original",
    "Pixels": "Pixel",
    "Pixels; 0: as the style does best": "Pixel; 0: wie der Stil es am besten kann",
    "Place": "Platz",
    "Preview Range": "Vorschaubereich",
    "Prompt": "Prompt",
    "Quality": "Qualität",
    "Return when the clip is in the edit. Without a window alone: a window never waits": (
        "Zurückkehren, wenn der Clip im Schnitt ist. Nur ohne Fenster: ein Fenster wartet nie"
    ),
    "Scene's": "Die der Szene",
    "Scene's Aspect": "Seitenverhältnis der Szene",
    "Seconds": "Sekunden",
    "Seed": "Startwert",
    "Show clips in the panel Clip while they are made, coarsely": (
        "Clips im Bedienfeld Clip zeigen, während sie entstehen, in groben Zügen"
    ),
    "Size": "Größe",
    "Stretch": "Strecken",
    "Style": "Stil",
    "Style's Own": "Wie der Stil",
    "The backend does not have this style": "Das Backend hat diesen Stil nicht",
    "The channel to try first": "Der Kanal, der zuerst versucht wird",
    "The clip fills the picture in both directions": "Der Clip füllt das Bild in beiden Richtungen",
    "The clip fills the picture; what is over is cut off": "Der Clip füllt das Bild; was übersteht, wird abgeschnitten",
    "The clip lasts as long as it was made for: frames are shown for longer, no file is added": (
        "Der Clip dauert so lange, wie er gedacht ist: Bilder stehen länger, keine Datei kommt hinzu"
    ),
    "The clip's name in the backend": "Name des Clips im Backend",
    "The clip's own frames; 0: as the style does best": "Die Bilder des Clips; 0: wie der Stil es am besten kann",
    "The clip; empty: the active strip's": "Der Clip; leer: der des aktiven Streifens",
    "The job; empty: all of them": "Der Auftrag; leer: alle",
    "The lowest channel above all strips at that time": "Der unterste Kanal über allen Streifen dieser Zeit",
    "The lowest free channel above the active strip": "Der unterste freie Kanal über dem aktiven Streifen",
    "The nearest size of the scene's shape": "Die nächste Größe von der Form der Szene",
    "The size that the style's models make best": "Die Größe, die die Modelle des Stils am besten machen",
    "The styles are known once the backend has run": "Die Stile sind bekannt, sobald das Backend einmal lief",
    "Wait": "Warten",
    "What the clip must not show": "Was der Clip nicht zeigen darf",
    "What the clip shows, in words": "Was der Clip zeigt, in Worten",
    "Where frames go while the .blend is not saved; empty: a folder of the add-on's own": (
        "Wohin Bilder kommen, solange die .blend-Datei nicht gespeichert ist; leer: ein eigener Ordner des Add-ons"
    ),
    "Where the strip goes": "Wohin der Streifen kommt",
    "Width": "Breite",
    "Width and height": "Breite und Höhe",
    "Width of the clip, in the style's steps": "Breite des Clips, in den Schritten des Stils",
    "Without": "Ohne",
    # What is wrong, and what to do
    "Blender made a strip of another length than asked for.": "Blender hat einen Streifen von anderer Länge gemacht.",
    "Close what else uses it: it ends a minute later. Then press Generate again.": (
        "Schließe, was es sonst benutzt: eine Minute später endet es. Drücke dann noch einmal Erzeugen."
    ),
    "Copied. Paste it into a terminal.": "Kopiert. Füge ihn in ein Terminal ein.",
    "Frames are missing in {folder}.": "In {folder} fehlen Bilder.",
    "Get the same release of both, then run this in a terminal.": (
        "Hole beide in derselben Version und führe dann dies in einem Terminal aus."
    ),
    "Install the same release again.": "Installiere dieselbe Version noch einmal.",
    "Make room, then press Try Again.": "Schaffe Platz und drücke dann Noch einmal versuchen.",
    "No backend is connected.": "Es ist kein Backend verbunden.",
    "No channel is free for {frames} at frame {start}.": "Für {frames} ist bei Bild {start} kein Kanal frei.",
    "Please report what stands in Blender's terminal.": "Bitte melde, was in Blenders Terminal steht.",
    "Press Generate again.": "Drücke noch einmal Erzeugen.",
    "Press Try Again.": "Drücke Noch einmal versuchen.",
    "Run this in a terminal, in the folder of Elevator.": "Führe dies in einem Terminal aus, im Ordner von Elevator.",
    "Run this in a terminal.": "Führe dies in einem Terminal aus.",
    "Save the .blend in a folder that can be written.": "Speichere die .blend-Datei in einem beschreibbaren Ordner.",
    "Select a strip that was generated.": "Wähle einen Streifen, der erzeugt wurde.",
    "Start the backend, which tells them.": "Starte das Backend, das sie nennt.",
    "The backend did not answer the cancel; the job was left to it.": (
        "Das Backend hat auf den Abbruch nicht geantwortet; der Clip wurde ihm überlassen."
    ),
    "The backend does not answer.": "Das Backend antwortet nicht.",
    "The backend does not know this clip any more.": "Das Backend kennt diesen Clip nicht mehr.",
    "The backend does not know this clip. Press Find Clips.": (
        "Das Backend kennt diesen Clip nicht. Drücke Clips finden."
    ),
    "The backend is not installed.": "Das Backend ist nicht installiert.",
    "The backend was stopped.": "Das Backend wurde beendet.",
    "The backend's styles are not known yet.": "Die Stile des Backends sind noch nicht bekannt.",
    "The clips stay where they were.": "Die Clips bleiben, wo sie waren.",
    "The folder {folder} cannot be written: {why}.": "In den Ordner {folder} kann nicht geschrieben werden: {why}.",
    "The folder {folder} is gone.": "Den Ordner {folder} gibt es nicht mehr.",
    "The job was cancelled.": "Der Clip wurde abgebrochen.",
    "The program xdg-open, which opens folders, is not installed: {folder}": (
        "Das Programm xdg-open, das Ordner öffnet, ist nicht installiert: {folder}"
    ),
    "The prompt is empty.": "Der Prompt ist leer.",
    "Wait a minute, then press Start in the panel Backend.": (
        "Warte eine Minute und drücke dann Starten im Bedienfeld Backend."
    ),
    # LoRAs, input, order of the queue, care for files and backend
    "0 keeps the footage, 1 ignores it": "0 behält das Material, 1 beachtet es nicht",
    "A picture file; all other frames follow its look": ("Eine Bilddatei; alle anderen Bilder folgen ihrem Aussehen"),
    "A picture that is frame 0": "Ein Bild, das Bild 0 ist",
    "A picture that the clip begins with": "Ein Bild, mit dem der Clip beginnt",
    "A render is running.": "Es wird gerendert.",
    "A text of Blender's text editor instead of the field, for long prompts": (
        "Ein Text aus Blenders Texteditor statt des Feldes, für lange Prompts"
    ),
    "Add LoRA": "LoRA hinzufügen",
    "Advanced": "Erweitert",
    "An image or movie strip that the clip starts from": "Ein Bild- oder Filmstreifen, von dem der Clip ausgeht",
    "Anchor": "Anker",
    "Anchor File": "Ankerdatei",
    "Change what is named there.": "Ändere, was dort genannt ist.",
    "Check Set-up": "Einrichtung prüfen",
    "Choose an image or movie strip.": "Wähle einen Bild- oder Filmstreifen.",
    "Collect Clips": "Clips einsammeln",
    "Copy frames that lie elsewhere into the folder beside the .blend, and show them from there": (
        "Bilder, die anderswo liegen, in den Ordner neben der .blend-Datei kopieren und von dort zeigen"
    ),
    "Delete the frames beside the .blend that no strip shows, nor any other .blend": (
        "Die Bilder neben der .blend-Datei löschen, die weder ein Streifen noch eine andere .blend-Datei zeigt"
    ),
    "Direction": "Richtung",
    "Every clip beside the .blend is in use, or was since the file was opened.": (
        "Jeder Clip neben der .blend-Datei wird benutzt oder wurde es, seit die Datei offen ist."
    ),
    "First Frame": "Erstes Bild",
    "Footage": "Filmmaterial",
    "Free": "Freigeben",
    "Free Memory": "Speicher freigeben",
    "Generate when it has ended.": "Erzeuge, wenn das fertig ist.",
    "Give a clip that waits another place in the backend's queue": (
        "Einem wartenden Clip einen anderen Platz in der Warteschlange des Backends geben"
    ),
    "Give the memory of models back, on every device that has no job": (
        "Den Speicher der Modelle zurückgeben, auf jedem Gerät ohne Auftrag"
    ),
    "How much the pictures are changed: 0 keeps them, 1 ignores them": (
        "Wie sehr die Bilder verändert werden: 0 behält sie, 1 beachtet sie nicht"
    ),
    "How strongly it shows": "Wie stark es zu sehen ist",
    "Input": "Eingabe",
    "Instead of the style's own": "Statt der des Stils",
    "It comes before the one that is before it": "Er kommt vor den, der vor ihm ist",
    "It comes behind the one that is behind it": "Er kommt hinter den, der hinter ihm ist",
    "It comes next": "Er kommt als Nächster",
    "It was interrupted, and the clip cancelled.": "Es wurde unterbrochen und der Clip abgebrochen.",
    "Let the clip come next": "Den Clip als Nächsten drannehmen",
    "Let the clip come one place earlier": "Den Clip einen Platz früher drannehmen",
    "Let the clip come one place later": "Den Clip einen Platz später drannehmen",
    "LoRA": "LoRA",
    "LoRAs": "LoRAs",
    "Long Prompt": "Langer Prompt",
    "Look at everything that the backend needs, and say what is wrong and what mends it": (
        "Alles ansehen, was das Backend braucht, und sagen, was falsch ist und was es behebt"
    ),
    "Low-Pass": "Tiefpass",
    "Move in Queue": "In der Warteschlange verschieben",
    "Name of a strip whose picture is frame 0": "Name eines Streifens, dessen Bild Bild 0 ist",
    "Name of an image or movie strip that the clip starts from": (
        "Name eines Bild- oder Filmstreifens, von dem der Clip ausgeht"
    ),
    'Names with weights, a JSON object such as {"neon": 0.8}': (
        'Namen mit Gewichten, ein JSON-Objekt wie {"neon": 0.8}'
    ),
    "Nothing is wrong with the set-up.": "An der Einrichtung ist nichts falsch.",
    'Of the plan, a JSON object such as {"steps": 20}': 'Des Plans, ein JSON-Objekt wie {"steps": 20}',
    "On": "An",
    "Open Log": "Protokoll öffnen",
    "Open Log in the panel Backend has all of it; this, in a terminal, says what is wrong.": (
        "Protokoll öffnen im Bedienfeld Backend hat alles; dies, in einem Terminal, sagt, was falsch ist."
    ),
    "Open the file that it is in.": "Öffne die Datei, in der er ist.",
    "Open what the backend has said last, with this computer's program for texts": (
        "Öffnen, was das Backend zuletzt gesagt hat, mit dem Textprogramm dieses Rechners"
    ),
    "Picture": "Bild",
    "Press Try Again when that is mended.": "Drücke Noch einmal versuchen, wenn das behoben ist.",
    "Prompt from Text": "Prompt aus Text",
    "Put a LoRA on top of the style, or give one of the style's own another weight": (
        "Dem Stil ein LoRA hinzufügen, oder einem seiner eigenen ein anderes Gewicht geben"
    ),
    "Put it on the style": "Dem Stil hinzufügen",
    "Put it on; one that the style has is taken away if off": (
        "Hinzufügen; eines, das der Stil hat, wird weggenommen, wenn aus"
    ),
    "Reading the pictures that it starts from": "Die Bilder, von denen er ausgeht, werden gelesen",
    "Remove LoRA": "LoRA entfernen",
    "Remove Unused Clips": "Unbenutzte Clips entfernen",
    "Report": "Bericht",
    "Save the .blend first: its clips lie beside it.": (
        "Speichere zuerst die .blend-Datei: ihre Clips liegen daneben."
    ),
    "Select an image or movie strip.": "Wähle einen Bild- oder Filmstreifen aus.",
    "Settings": "Einstellungen",
    "Start from Its Pictures": "Von seinen Bildern ausgehen",
    "Strength": "Stärke",
    "Strip at Playhead": "Streifen am Abspielkopf",
    "Take the active strip": "Den aktiven Streifen nehmen",
    "Take the line out of the list": "Die Zeile aus der Liste nehmen",
    "The clip begins with this file": "Der Clip beginnt mit dieser Datei",
    "The clip begins with whatever it is": "Der Clip beginnt, womit er will",
    "The clip is made from the strip's pictures at its own frames": (
        "Der Clip entsteht aus den Bildern des Streifens zu den Zeiten seiner eigenen"
    ),
    "The clip's strip is not in this file.": "Der Streifen des Clips ist nicht in dieser Datei.",
    "The job": "Der Auftrag",
    "The report is being written.": "Der Bericht wird geschrieben.",
    "The set-up is being checked.": "Die Einrichtung wird geprüft.",
    "The strip's picture where the clip begins; all other frames follow its look": (
        "Das Bild des Streifens, wo der Clip beginnt; alle anderen folgen seinem Aussehen"
    ),
    "There is no clip.": "Es gibt keinen Clip.",
    "There is no log: no backend has run here.": "Es gibt kein Protokoll: hier lief kein Backend.",
    "There is no other LoRA. They go into the folder loras of the backend's settings.": (
        "Es gibt kein anderes LoRA. Sie gehören in den Ordner loras der Einstellungen des Backends."
    ),
    "This clip does not wait in the queue.": "Dieser Clip wartet nicht in der Warteschlange.",
    "Use Active Strip": "Aktiven Streifen nehmen",
    "Weight": "Gewicht",
    "What smooths the frames before the video model takes over": (
        "Was die Bilder glättet, bevor das Videomodell übernimmt"
    ),
    "What the style's file says": "Was die Datei des Stils sagt",
    "Write Report": "Bericht schreiben",
    "Write a file for a report of a fault, without keys, prompts and names": (
        "Eine Datei für eine Fehlermeldung schreiben, ohne Schlüssel, Prompts und Namen"
    ),
    "No backend is connected. It starts with the first Generate.": (
        "Es ist kein Backend verbunden. Es startet mit dem ersten Erzeugen."
    ),
    "1 job": "1 Auftrag",
    # Preferences and takes
    "Choose another in the preferences, or make it in a terminal.": (
        "Wähle ein anderes in den Einstellungen, oder mache es in einem Terminal."
    ),
    "Clips of the same words that one strip can show": "Clips aus denselben Worten, die ein Streifen zeigen kann",
    "Clips, with seeds in a row": "Clips, mit Startwerten der Reihe nach",
    "Default Style": "Stil zu Beginn",
    "End the backend with this Blender, if it was started here and nobody else uses it. Unfinished "
    "clips go on at its next start": (
        "Das Backend mit diesem Blender beenden, wenn es hier gestartet wurde und niemand sonst es "
        "benutzt. Unfertige Clips gehen bei seinem nächsten Start weiter"
    ),
    "Folders of Clips": "Ordner der Clips",
    "GB that models kept between clips may take on a device; 0: half of what it has. Holds from the "
    "backend's next start": (
        "GB, die Modelle zwischen Clips auf einem Gerät behalten dürfen; 0: die Hälfte. Gilt ab dem "
        "nächsten Start des Backends"
    ),
    "Have the backend ready when Blender is": "Das Backend bereit haben, wenn Blender es ist",
    "Let the active strip show its next take": "Den aktiven Streifen seinen nächsten Take zeigen lassen",
    "Make it anew in a terminal.": "Mache es in einem Terminal neu.",
    "Memory for Models": "Speicher für Modelle",
    "Name of the style that new scenes begin with; empty: the backend's first": (
        "Name des Stils, mit dem neue Szenen beginnen; leer: der erste des Backends"
    ),
    "Next Take": "Nächster Take",
    "Open Guide": "Anleitung öffnen",
    "Open the guide for artists that came with the backend": "Die Anleitung öffnen, die mit dem Backend kam",
    "Other Machine": "Anderer Rechner",
    "Profile of a backend on another machine; empty: the backend of this computer": (
        "Profil eines Backends auf einem anderen Rechner; leer: das Backend dieses Rechners"
    ),
    "Select a strip that has several takes.": "Wähle einen Streifen, der mehrere Takes hat.",
    "Start with Blender": "Mit Blender starten",
    "Stop with Blender": "Mit Blender beenden",
    "Takes": "Takes",
    "The clips' folder is shared by all projects: see the add-on's preferences.": (
        "Der Ordner der Clips ist allen Projekten gemeinsam: siehe die Einstellungen des Add-ons."
    ),
    "Where a clip's frames go: // is the folder of the .blend. The last part may hold {prompt}, "
    "{job}, {style} and {seed}": (
        "Wohin die Bilder eines Clips kommen: // ist der Ordner der .blend-Datei. Der letzte Teil darf "
        "{prompt}, {job}, {style} und {seed} enthalten"
    ),
    "Next of {count} Takes": "Nächster von {count} Takes",
}
