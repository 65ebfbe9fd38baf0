"""The words the clinic's people and places are made of.

Refuses to be anybody's data: these are frequency lists, and every person made of them is invented.

Sources, all facts of the public domain (works of the United States government, 17 USC 105): given
names from the Social Security Administration's most frequent names by decade of birth, family names
from the Census Bureau's "Frequently Occurring Surnames" of 2010, places and the first three digits
of their postal codes from the Census Bureau's gazetteer, medicines by their generic names from the
FDA's drug list. Spellings with accents, hyphens, apostrophes and several parts are added by hand,
because they are the ones that break software. Order is rank: the generator draws earlier words more
often.
"""

from __future__ import annotations


def _ranked(words: str, separator: str | None = None) -> tuple[str, ...]:
    return tuple(words.split(separator))


FEMALE = _ranked("""
    Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Betty
    Sandra Margaret Ashley Kimberly Emily Donna Michelle Carol Amanda Melissa Deborah Stephanie
    Dorothy Rebecca Sharon Laura Cynthia Amy Kathleen Angela Shirley Brenda Emma Anna Pamela Nicole
    Samantha Katherine Christine Helen Debra Rachel Carolyn Janet Maria Catherine Heather Diane
    Olivia Julie Joyce Victoria Ruth Virginia Lauren Kelly Christina Joan Evelyn Judith Andrea
    Hannah Megan Cheryl Jacqueline Martha Madison Teresa Gloria Sara Janice Ann Kathryn Abigail
    Sophia Frances Jean Alice Judy Isabella Julia Grace Amber Denise Danielle Marilyn Beverly
    Charlotte Natalie Theresa Diana Brittany Doris Kayla Alexis Lori Marie Hope Faith Joy April May
    June Rose Iris Violet Ivy Daisy Guadalupe Carmen Rosa Ximena Fatima Aaliyah Priya Mei Yuki Thi
    Ngoc Soledad Dolores Consuelo José-María Zoë Chloë Renée Noémie Núria Begoña Anaïs Siân Bríd
    Jo-Ann Mary-Kate Anne-Marie Ana-Sofía D'Andra N'Keisha Łucja Šárka Øydis Åsa Søs
""")

MALE = _ranked("""
    James Robert John Michael David William Richard Joseph Thomas Charles Christopher Daniel
    Matthew Anthony Mark Donald Steven Paul Andrew Joshua Kenneth Kevin Brian George Timothy Ronald
    Edward Jason Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon
    Benjamin Samuel Gregory Alexander Frank Patrick Raymond Jack Dennis Jerry Tyler Aaron Jose Adam
    Nathan Henry Douglas Zachary Peter Kyle Ethan Walter Noah Jeremy Christian Keith Roger Terry
    Gerald Harold Sean Austin Carl Arthur Lawrence Dylan Jesse Jordan Bryan Billy Joe Bruce Gabriel
    Logan Albert Willie Alan Juan Wayne Elijah Randy Roy Vincent Ralph Eugene Russell Bobby Mason
    Philip Louis Will Chase Grant Pierce Miles Angel Jesus Luis Carlos Mateo Santiago Diego
    Muhammad Omar Arjun Wei Hiroshi Minh Dmitri Kwame Olu Björn Jürgen Søren Håkon René André José
    Ángel Óscar Íñigo Jean-Luc Jean-Pierre Karl-Heinz Abdul-Rahman O'Shea D'Angelo Siôn Ciarán
    Łukasz Željko Tomáš
""")

_FAMILY = _ranked("""
    Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez
    Gonzalez Wilson Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris
    Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Nguyen Hill
    Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts Gomez Phillips
    Evans Turner Diaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales Murphy Cook Rogers
    Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson
    Watson Brooks Chavez Wood James Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders
    Patel Myers Long Ross Foster Jimenez Powell Jenkins Perry Russell Sullivan Bell Coleman Butler
    Henderson Barnes Gonzales Fisher Vasquez Simmons Romero Jordan Patterson Alexander Hamilton
    Graham Reynolds Griffin Wallace Moreno West Cole Hayes Bryant Herrera Gibson Ellis Tran Medina
    Aguilar Stevens Murray Ford Castro Marshall Owens Harrison Fernandez McDonald Woods Washington
    Kennedy Wells Vargas Henry Chen Freeman Webb Tucker Guzman Burns Crawford Olson Simpson Porter
    Hunter Gordon Mendez Silva Shaw Snyder Mason Dixon Munoz Hunt Hicks Holmes Palmer Wagner Black
    Robertson Boyd Rose Stone Salazar Fox Warren Mills Meyer Rice Schmidt Garza Daniels Ferguson
    Nichols Stephens Soto Weaver Ryan Gardner Payne Grant Dunn Kelley Spencer Hawkins Arnold Pierce
    Hansen Peters Santos Hart Bradley Knight Elliott Cunningham Duncan Armstrong Hudson Carroll
    Lane Riley Andrews Alvarado Ray Delgado Berry Perkins Hoffman Johnston Matthews Pena Richards
    Contreras Willis Carpenter Lawrence Sandoval Guerrero Graves Foley March Day Parkinson Hodgkin
    Crohn Bright Addison Wilms Down Ng Li Wu Xu Ye O'Brien O'Connor O'Neill O'Donnell D'Angelo
    D'Souza L'Heureux N'Diaye Nuñez Muñoz Peña Ibáñez García Gutiérrez Hernández González Gómez
    Pérez Sánchez Ramírez Müller Schäfer Größe Lefèvre Béranger Çelik Øster Ångström Šimůnek Wójcik
    Łukaszewicz Đorđević Nguyễn Trần Smith-Jones García-Márquez Lloyd-Webber Abd-El-Rahman
    Saint-John
""")

#: Family names of several parts stand in the middle, so that they are drawn often enough to matter.
FAMILY = (
    *_FAMILY[:60],
    "de la Cruz",
    "De La Rosa",
    "van der Berg",
    "von Neumann",
    "St. John",
    "Mac Giolla Phádraig",
    *_FAMILY[60:],
)

STREETS = _ranked(
    "Main Street|Oak Street|Pine Street|Maple Avenue|Cedar Lane|Elm Street|Washington Avenue|"
    "Lake Road|Hill Street|Walnut Street|Spring Street|North Street|Ridge Road|Church Street|"
    "Willow Court|Mill Road|Sunset Boulevard|Railroad Avenue|Jackson Street|West Drive|"
    "Park Place|Highland Avenue|Johnson Street|Forest Trail|Meadow Lane|Broadway|"
    "Chestnut Street|River Road|Martin Luther King Jr. Boulevard|County Road 12|"
    "Calle de la Rosa|St. Mary's Way",
    "|",
)

#: City, state, first three digits of its postal codes.
PLACES = tuple(
    _ranked(place, "/")
    for place in _ranked(
        "Springfield/IL/627|Riverside/CA/925|Franklin/TN/370|Greenville/SC/296|Bristol/CT/060|"
        "Clinton/MS/390|Fairview/OR/970|Salem/OR/973|Madison/WI/537|Georgetown/TX/786|"
        "Arlington/VA/222|Ashland/KY/411|Dover/DE/199|Oxford/MS/386|Jackson/MS/392|"
        "Burlington/VT/054|Manchester/NH/031|Milton/MA/021|Newport/RI/028|Auburn/AL/368|"
        "Centerville/OH/454|Clayton/MO/631|Dayton/OH/454|Lexington/KY/405|Milford/CT/064|"
        "Mount Vernon/NY/105|Oakland/CA/946|Winchester/VA/226|Cleveland/OH/441|Hudson/NY/125|"
        "Kingston/NY/124|Marion/IA/523|Monroe/LA/712|Troy/MI/480|Boulder/CO/803|Provo/UT/846|"
        "Santa Fe/NM/875|Tempe/AZ/852|Reno/NV/895|Boise/ID/837|Helena/MT/596|Casper/WY/826|"
        "Fargo/ND/581|Pierre/SD/575|Lincoln/NE/685|Wichita/KS/672|Tulsa/OK/741|Duluth/MN/558|"
        "Peoria/IL/616|Gary/IN/464|Erie/PA/165|Trenton/NJ/086|Bangor/ME/044|Macon/GA/312|"
        "Ocala/FL/344|Durham/NC/277|Tacoma/WA/984|Juneau/AK/998|Hilo/HI/967|Coeur d'Alene/ID/838|"
        "Española/NM/875|Winston-Salem/NC/271|St. Paul/MN/551|Nome/AK/997",
        "|",
    )
)

DRUGS = _ranked("""
    atorvastatin metformin levothyroxine lisinopril amlodipine metoprolol albuterol losartan
    gabapentin omeprazole sertraline rosuvastatin pantoprazole escitalopram hydrochlorothiazide
    bupropion fluoxetine montelukast trazodone simvastatin amoxicillin tamsulosin duloxetine
    furosemide fluticasone meloxicam prednisone clopidogrel glipizide citalopram potassium-chloride
    allopurinol tramadol carvedilol apixaban venlafaxine warfarin insulin-glargine semaglutide
""")

REASONS = _ranked(
    "annual check|follow-up|chest pain|shortness of breath|back pain|headache|"
    "medication review|diabetes check|blood pressure check|vaccination|rash|knee pain|cough|"
    "fatigue|dizziness|post-operative check|pregnancy check|abdominal pain|anxiety|"
    "sleep problems",
    "|",
)

DEPARTMENTS = (
    "Cardiology",
    "Dermatology",
    "Endocrinology",
    "Family medicine",
    "Neurology",
    "Orthopaedics",
    "Paediatrics",
    "Pulmonology",
)

PAYERS = (
    "Blue Harbor Health",
    "Commonwealth Mutual",
    "Medicare",
    "Medicaid",
    "Prairie Health Plan",
    "Self-pay",
)
