# The conformance suite, once for each backend of this build. Without conformance_<backend>.cc its test fails.
add_library(ringtap_test_traffic STATIC conformance_traffic.cc)
target_link_libraries(ringtap_test_traffic PUBLIC ringtap_core)
add_library(ringtap_conformance OBJECT conformance.cc)
target_link_libraries(ringtap_conformance PRIVATE ringtap_test_main ringtap_core)
get_property(backends GLOBAL PROPERTY RINGTAP_BACKENDS)
foreach(backend ${backends})
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/conformance_${backend}.cc)
    ringtap_test(conformance_${backend} SOURCES conformance_${backend}.cc $<TARGET_OBJECTS:ringtap_conformance>
                 LINK ringtap_test_traffic ringtap_backend_${backend} Threads::Threads)
  else()
    add_test(NAME conformance_${backend} COMMAND ${CMAKE_COMMAND} -E false)
  endif()
endforeach()
