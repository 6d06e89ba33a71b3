#include "postgres.h"
#include "database.h"
void
ev_database_init(void)
{
}
