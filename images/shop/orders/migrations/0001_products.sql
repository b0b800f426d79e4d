CREATE TABLE products (
    sku         text    PRIMARY KEY,
    name        text    NOT NULL,
    price_cents integer NOT NULL CHECK (price_cents > 0),
    active      boolean NOT NULL DEFAULT true
);

CREATE TABLE stock (
    sku text    PRIMARY KEY REFERENCES products,
    qty integer NOT NULL CHECK (qty >= 0)
);
